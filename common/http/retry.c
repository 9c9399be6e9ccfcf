#include "common/http/retry.h"

#include <time.h>

bool retry_status(int status)
{
    return status == 408 || status == 429 ||
           (status >= 500 && status <= 599 && status != 501 && status != 505);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" and the two obsolete forms that recipients must accept. */
static bool date_parse(int64_t *seconds, struct str value)
{
    static const char *const forms[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                         "%a %b %d %H:%M:%S %Y" };
    char text[64];

    if (value.len >= sizeof(text))
        return false;
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct tm tm = { 0 };
        const char *end = strptime(text, forms[i], &tm);

        if (!end || *end)
            continue;
        *seconds = (int64_t)timegm(&tm);
        return true;
    }
    return false;
}

bool retry_after_parse(int64_t *wait_us, struct str value, struct utc now)
{
    int64_t seconds;

    value = str_trim(value);
    if (str_int(&seconds, value, 0, INT64_C(1) << 40)) {
        *wait_us = seconds * US_PER_S;
        return true;
    }
    if (!value.len || !date_parse(&seconds, value))
        return false;
    *wait_us = seconds * US_PER_S > now.us ? seconds * US_PER_S - now.us : 0;
    return true;
}

static int64_t less(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t below(uint64_t random, int64_t bound)
{
    return (int64_t)(random % ((uint64_t)bound + 1));
}

bool retry_wait(int64_t *wait_us, const struct retry_policy *policy, int64_t failures,
                int64_t asked_us, uint64_t random)
{
    int64_t bound = policy->base_us;

    if (failures > policy->retries)
        return false;
    if (asked_us != INT_NONE) {
        asked_us = less(asked_us, policy->server_most_us);
        *wait_us = asked_us + below(random, asked_us / 10);
        return true;
    }
    for (int64_t i = 1; i < failures && bound < policy->most_us; i++)
        bound *= 2;
    *wait_us = below(random, less(bound, policy->most_us));
    return true;
}
