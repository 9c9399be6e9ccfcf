/* answers.h - how many HTTP requests were answered, how, and how fast.
 *
 * An endpoint is the path template of a route. It gets its place in the segment by name and
 * once, when a worker starts, so that releases with other routes may run side by side; an
 * answer then costs two additions. */
#ifndef ARAGORA_ANSWERS_H
#define ARAGORA_ANSWERS_H

#include "common/base/buf.h"
#include "common/base/segment.h"

#define ENDPOINT_OTHER 0 /* no route was found */

/* In the order of enum method; HEAD counts as GET. */
enum answer_method {
    ANSWER_GET,
    ANSWER_POST,
    ANSWER_PUT,
    ANSWER_PATCH,
    ANSWER_DELETE,
    ANSWER_OTHER,
    ANSWER_METHODS
};

/* The place of this path; ENDPOINT_OTHER when all are taken. */
size_t answers_endpoint(struct segment *segment, struct str path);

/* One answer to a request. When SERIES kinds have been seen, a new one counts as "other". */
void answers_count(struct segment *segment, size_t endpoint, enum answer_method method, int status,
                   int64_t took_us);

/* What metrics are made of the table; answers_write() tells their labels. */
enum answers_form {
    ANSWERS_NONE,
    ANSWERS_TOTAL,    /* by method, endpoint, status */
    ANSWERS_DURATION, /* by method, endpoint, status */
    ANSWERS_LATENCY,  /* by endpoint */
    ANSWERS_METHOD,   /* as ANSWERS_DURATION, by endpoint and method */
};

/* The samples under name, for metrics_write(). */
void answers_write(struct buf *out, struct segment *segment, enum answers_form form,
                   const char *name, const char *const endpoints[ENDPOINTS]);

#endif
