/* client.h - requests to other servers: the one way out, over libcurl.
 *
 * Nothing here blocks but http_wait(). A call is started, then moved on by http_advance() with
 * all others of its client, and read as its answer arrives. What can go wrong is a fault of the
 * call: http_start() itself cannot fail.
 *
 * A call goes to http and https only. Credentials travel in secret headers, which are not sent
 * on to another origin; addresses with a user or password are refused. Redirects are followed
 * here, up to three, and every connection's address is checked when its socket is made, so that
 * a name cannot answer one address to the check and another to the connection. Neither headers
 * nor bodies are ever logged. */
#ifndef ARAGORA_HTTP_CLIENT_H
#define ARAGORA_HTTP_CLIENT_H

#include "common/base/arena.h"
#include "common/base/buf.h"

#define HTTP_HEADERS_MAX   8
#define HTTP_REDIRECTS_MAX 3

struct http_config {     /* strings are copied */
    struct str proxy;    /* STR_NONE: none; never for loopback, nor where HTTP_OPERATOR is not */
    struct str no_proxy; /* hosts and domains reached without it, separated by commas */
    struct str ca_file;  /* authorities trusted beside the system's, PEM; STR_NONE: none */
};

struct http_client;

/* One thread's; *out is the caller's, for http_client_free(). ERR_SYSTEM. */
MUST_USE enum result http_client_new(struct http_client **out, const struct http_config *config);
/* All its calls must be ended before; NULL is fine. */
void http_client_free(struct http_client *client);

/* Whither a call may go. */
enum http_reach {
    HTTP_PUBLIC,   /* public addresses only: for all that a tenant can say */
    HTTP_OPERATOR, /* any address: the operator configured this one; other origins that it
                      redirects to must be public */
    HTTP_LOOPBACK, /* this machine only, no other origin */
};

struct http_header {
    const char *name;
    struct str value;
    bool secret;
};

struct http_limits { /* microseconds from the start of the request; 0: none */
    int64_t connect_us;
    int64_t first_byte_us; /* of the answer's body */
    int64_t between_us;    /* from one piece of the body to the next */
    int64_t total_us;
    size_t bytes; /* of the body */
};

struct http_request { /* copied */
    const char *method;
    struct str url, body;
    struct http_header headers[HTTP_HEADERS_MAX]; /* up to the first without a name */
    enum http_reach reach;
    struct http_limits limits;
};

enum http_state { HTTP_RUNNING, HTTP_DONE, HTTP_FAILED };

enum http_fault {
    HTTP_NO_FAULT,
    HTTP_BAD_REQUEST, /* address or header not well-formed, or of another scheme */
    HTTP_BLOCKED,     /* the address may not be reached */
    HTTP_NO_NAME,     /* the host's name has no address */
    HTTP_NO_CONNECTION,
    HTTP_BAD_CERTIFICATE,
    HTTP_LATE_CONNECTION,
    HTTP_LATE_FIRST_BYTE,
    HTTP_LATE_CHUNK,
    HTTP_LATE_END,
    HTTP_TOO_LARGE,
    HTTP_TOO_MANY_REDIRECTS,
    HTTP_NO_ANSWER, /* the connection ended before the answer's first byte */
    HTTP_CUT,       /* it ended inside the answer */
};

struct http_call;

/* Never NULL; the caller's, for http_end(). */
struct http_call *http_start(struct http_client *client, const struct http_request *request);
/* Sends and receives for all calls of the client, and ends those over a limit. */
void http_advance(struct http_client *client);
/* Sleeps until something may have happened, at most until the monotonic time. */
void http_wait(struct http_client *client, int64_t until_us);

/* Moves what has arrived of the body to out. Read before it says HTTP_DONE or HTTP_FAILED, so
 * nothing follows that. */
enum http_state http_read(struct http_call *call, struct buf *out);
/* When a limit of a running call is due, monotonic; INT64_MAX: it has none. */
int64_t http_due_us(const struct http_call *call);
int http_status(const struct http_call *call); /* 0: no answer yet */
/* A header of the answer; borrowed from the call. STR_NONE: not sent. */
struct str http_answer_header(struct http_call *call, const char *name);
enum http_fault http_fault(const struct http_call *call);
struct utc http_first_byte(const struct http_call *call); /* .us 0: none came */
/* Ends the call at any time and closes its connection if it was under way; NULL is fine. */
void http_end(struct http_call *call);

/* For people: what went wrong, without addresses or bodies. */
const char *http_fault_text(enum http_fault fault);
/* The request reached nobody, so that another try repeats nothing. */
bool http_fault_is_early(enum http_fault fault);

#endif
