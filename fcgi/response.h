/* response.h - an answer before it is sent. */
#ifndef ARAGORA_RESPONSE_H
#define ARAGORA_RESPONSE_H

#include "common/base/buf.h"

#define RESPONSE_HEADERS_MAX 64

struct request;

struct response_header {
    struct str name, value; /* name: of a literal */
};

struct response {
    int status;       /* 0: not answered yet */
    const char *type; /* NULL: none, as for an empty answer */
    struct str body;
    struct response_header headers[RESPONSE_HEADERS_MAX];
    size_t header_count;
};

/* v1 answers 400 where v2 answers 422 (decision 43). */
int error_status(enum result result, int version);
/* Adds those of different, constant headers that are not set yet. */
void response_defaults(struct response *response, const struct response_header *headers,
                       size_t count);
bool response_has(struct response *response, const char *name);
/* Does If-None-Match name this tag? */
bool etag_known(struct str list, struct str etag);
/* The error of r->refusal as status, headers and body (decision 43). */
void response_refuse(struct request *r);
/* The headers' block as CGI wants it, with Content-Length (RFC 3875 6.3). */
void response_head(struct buf *out, const struct response *response);

#endif
