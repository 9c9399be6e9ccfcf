/* request.h - a request with what only the worker sees of it.
 *
 * Handlers get struct request; the exchange around it adds the server's parameters, the answer
 * and the way to the body. r->response is its first member, so a request that was made without
 * an exchange (in tests) simply has no headers. */
#ifndef ARAGORA_REQUEST_H
#define ARAGORA_REQUEST_H

#include "fcgi/response.h"
#include "handlers/handler.h"

struct worker;

/* A CGI variable (RFC 3875 4.1). */
struct param {
    struct str name, value;
};

struct exchange {
    struct response response; /* first: request.response points to it */
    struct request request;
    struct list params; /* of struct param */
    struct worker *worker;
    bool single; /* the process answers nothing else: what is not there yet will not come */
    /* The next bytes of the body; false: none are left. *cut: the client went away. */
    bool (*read)(void *source, char *out, size_t size, size_t *got, bool *cut);
    void *source;
};

struct exchange *exchange_of(const struct request *r); /* NULL if it has none */

/* NAME=value texts, the last NULL, as params; views of them. */
struct list params_read(struct arena *arena, char **environment);
/* An empty exchange in the arena around these parameters; borrowed. */
struct exchange *exchange_new(struct arena *arena, struct list params);
/* How often a header of this lower-case name was sent, where the web server tells them apart. */
size_t exchange_headers(const struct exchange *exchange, const char *name);
struct str exchange_param(const struct exchange *exchange, const char *name);
/* The whole body into r->body. ERR_BODY_TOO_LARGE, ERR_BODY_CUT. */
MUST_USE enum result exchange_body(struct request *r, int64_t limit_bytes);

/* Content-Length, INT_NONE if not sent. ERR_BAD_REQUEST: negative or no number. */
MUST_USE enum result request_length(int64_t *out, struct request *r);
int64_t request_body_limit(const struct request *r);
bool request_takes_body(const struct request *r);
enum result refuse_large_body(struct request *r, int64_t length, int64_t limit);

#endif
