/* sse.h - lines and server-sent events out of a stream that is cut anywhere. */
#ifndef ARAGORA_HTTP_SSE_H
#define ARAGORA_HTTP_SSE_H

#include "common/base/buf.h"

/* Lines end with LF, CR LF or CR. Zero-initialised is empty. */
struct lines {
    struct buf pending;
    size_t from;   /* first byte of the next line */
    size_t seen;   /* bytes behind it that hold no line end */
    bool after_cr; /* an LF now belongs to the line before */
};

void lines_feed(struct lines *lines, struct str bytes);
/* The next complete line; borrowed until the next lines_feed(). */
bool lines_next(struct str *line, struct lines *lines);
/* What has no line end yet. */
struct str lines_rest(const struct lines *lines);
void lines_free(struct lines *lines);

/* The data of events (WHATWG HTML 9.2.6); names, ids and comments are passed over. */
struct sse {
    struct lines lines;
    struct buf data;
    bool any; /* a data line of the open event was there */
};

void sse_feed(struct sse *sse, struct str bytes);
/* The next complete event; borrowed until the next call of either. */
bool sse_next(struct str *data, struct sse *sse);
void sse_free(struct sse *sse);

#endif
