/* retry.h - when a failed request is worth another try, and how long to wait before it. */
#ifndef ARAGORA_HTTP_RETRY_H
#define ARAGORA_HTTP_RETRY_H

#include "common/base/base.h"

struct retry_policy {
    int64_t retries;          /* beyond the first try */
    int64_t base_us, most_us; /* the wait doubles from base, up to most */
    int64_t server_most_us;   /* of what a server asks for */
};

/* Answers that another try may change: 408, 429, 5xx but 501 and 505. */
bool retry_status(int status);
/* Retry-After (RFC 9110 10.2.3): seconds, or a date, which counts from now. A past date is 0.
 * false: neither. */
MUST_USE bool retry_after_parse(int64_t *wait_us, struct str value, struct utc now);
/* failures: tries that have failed, from 1. asked_us: the server's Retry-After, INT_NONE without.
 * The wait is any between 0 and the bound (full jitter, so that many who failed at once do not
 * come back at once); after what the server asked for, up to a tenth longer.
 * false: no more tries. */
MUST_USE bool retry_wait(int64_t *wait_us, const struct retry_policy *policy, int64_t failures,
                         int64_t asked_us, uint64_t random);

#endif
