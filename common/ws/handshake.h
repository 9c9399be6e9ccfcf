/* handshake.h - the HTTP upgrade that opens a WebSocket (RFC 6455 4), without a transport.
 *
 * Both ends work on the bytes received so far. Origin, token and path are the caller's to judge
 * before it writes the 101 (10.2). Strings of results live in the given arena. */
#ifndef ARAGORA_WS_HANDSHAKE_H
#define ARAGORA_WS_HANDSHAKE_H

#include "common/base/arena.h"
#include "common/base/buf.h"

#define WS_HEAD_BYTES  8192 /* the most that a request or response head may take */
#define WS_KEY_TEXT    25   /* base64 of 16 bytes, and NUL */
#define WS_ACCEPT_TEXT 29   /* base64 of SHA-1, and NUL */

enum ws_handshake {
    WS_HANDSHAKE_MORE = 0, /* incomplete: read on, and call again with all of it */
    WS_HANDSHAKE_OK,
    WS_HANDSHAKE_REFUSED,
};

/* The HTTP status and an English reason without anything the peer sent. */
struct ws_refusal {
    int status;
    const char *reason;
};

struct ws_header {
    struct str name, value;
};

/* What a client asked for. Absent headers are absent strings. */
struct ws_request {
    struct str path, query; /* still percent-encoded; the query without "?", maybe with a token */
    struct str host, origin, authorization;
    struct str forwarded_for; /* all X-Forwarded-For lines, joined by ", " */
    struct str key;
    struct list protocols; /* struct str each, in the client's order */
    struct list headers;   /* struct ws_header each: all that were sent */
    size_t bytes;          /* of the head; the input behind it is frames already */
};

/* MORE and REFUSED leave *out alone, and only REFUSED fills *refusal. The input may not move
 * backwards between calls; a second call reads it from the start. */
MUST_USE enum ws_handshake ws_request_read(struct ws_request *out, struct ws_refusal *refusal,
                                           struct arena *arena, struct str input);

/* Was there such a header? Case does not count. */
bool ws_request_has(const struct ws_request *request, struct str name);
/* Did the client offer this sub-protocol? Case counts. */
bool ws_request_offers(const struct ws_request *request, struct str protocol);

/* Appends the 101. The protocol must be one that was offered; absent: none is answered. */
void ws_request_accept(struct buf *out, const struct ws_request *request, struct str protocol);

/* Appends a whole error response, after which the connection closes. For refusals of
 * ws_request_read() and the caller's own (403, 404, 429, 503). */
void ws_request_refuse(struct buf *out, struct ws_refusal refusal);

/* Sec-WebSocket-Accept of a key (4.2.2). */
void ws_accept_text(char out[WS_ACCEPT_TEXT], struct str key);

/* What a client asks for. All strings but host and target may be absent. */
struct ws_offer {
    struct str host, target; /* target: path and query */
    struct str origin, authorization;
    struct str protocols;  /* comma-separated */
    char key[WS_KEY_TEXT]; /* from ws_offer_key(), a fresh one per connection */
};

void ws_offer_key(struct ws_offer *offer);

/* Appends the request. ERR_INVALID_VALUE: a string would break the head; nothing is written. */
MUST_USE enum result ws_offer_write(struct buf *out, const struct ws_offer *offer);

/* What the server answered. */
struct ws_answer {
    struct str protocol; /* absent: none */
    size_t bytes;        /* of the head */
};

/* Checks the 101, its Sec-WebSocket-Accept, and that nothing was chosen that was not offered
 * (4.1). REFUSED: the status is the server's, 0 if it does not speak HTTP/1.1. */
MUST_USE enum ws_handshake ws_answer_read(struct ws_answer *out, struct ws_refusal *refusal,
                                          struct arena *arena, struct str input,
                                          const struct ws_offer *offer);

#endif
