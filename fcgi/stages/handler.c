/* handler.c - the route's own code. */
#include "common/base/clock.h"
#include "fcgi/pipeline.h"

#define ATTEMPTS 4 /* the first and three more */

/* What was only read is dropped: who asked has given up, and the answer may be old. What has been
 * written is told, or the client would do it again. */
static bool is_late(const struct request *r)
{
    return r->method == METHOD_GET && monotonic_us() >= r->deadline_us;
}

/* A transaction that lost against another has written nothing, so the whole runs again, from the
 * response as the stages before left it: their headers stay. */
static enum result handle(struct request *r)
{
    const struct response before = *r->response;
    enum result result = ERR_DATABASE_RETRY;

    for (int i = 0; i < ATTEMPTS && result == ERR_DATABASE_RETRY; i++) {
        if (monotonic_us() >= r->deadline_us)
            return ERR_TIMEOUT;
        *r->response = before;
        r->refusal = (struct refusal){ 0 };
        result = idempotency_replay(r);
        if (result == OK)
            result = r->route->handler(r);
    }
    if (result == DONE && is_late(r)) {
        *r->response = before;
        result = ERR_TIMEOUT;
    }
    return result;
}

enum result stage_handler(struct request *r)
{
    struct span span;

    handler_span_begin(&span, r);
    enum result result = handle(r);
    idempotency_end(r);
    handler_span_end(&span, r, result);
    return result == OK ? ERR_INTERNAL : result; /* OK: it forgot to answer */
}
