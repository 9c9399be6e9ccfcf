/* handler.c - the route's own code. */
#include "common/base/clock.h"
#include "fcgi/pipeline.h"

#define ATTEMPTS 4 /* the first and three more */

/* A transaction that lost against another has written nothing, so the whole runs again. */
enum result stage_handler(struct request *r)
{
    enum result result = ERR_DATABASE_RETRY;

    for (int i = 0; i < ATTEMPTS && result == ERR_DATABASE_RETRY; i++) {
        if (monotonic_us() >= r->deadline_us)
            return ERR_TIMEOUT;
        response_clear(r);
        r->refusal = (struct refusal){ 0 };
        result = r->route->handler(r);
    }
    return result == OK ? ERR_INTERNAL : result; /* OK: it forgot to answer */
}
