/* rate.h - how often a client may call: GCRA over all processes of a host, without a lock.
 *
 * A bucket is one time: when it will be full again (the theoretical arrival time of ITU-T
 * I.371, which a token bucket of that rate and burst equals). Taking a token is one atomic
 * compare-and-swap. */
#ifndef ARAGORA_RATE_H
#define ARAGORA_RATE_H

#include "common/base/segment.h"

struct rate {
    int64_t per_minute, burst; /* both at least 1 */
};

struct rate_answer {
    bool allowed;
    int64_t remaining;      /* whole tokens left */
    int64_t retry_after_us; /* 0 when allowed */
};

/* One token of the client key under the limit called scope. now_us: monotonic. When more than
 * BUCKET_WAYS live clients share a place, the one nearest to full is forgotten, which gives it
 * at most what it had used. */
struct rate_answer rate_take(struct segment *segment, struct str scope, struct str key,
                             struct rate rate, int64_t now_us);

/* The token that was just taken, where something else then refused the request. */
void rate_give_back(struct segment *segment, struct str scope, struct str key, struct rate rate);

/* Clients whose bucket is not full. */
int64_t rate_tracked(struct segment *segment, int64_t now_us);

#endif
