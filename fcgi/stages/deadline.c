/* deadline.c - until when a request may run: as long as its client says, its row, or the setting.
 *
 * The database interrupts a statement that is still running then, and a wait for a lock. */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/settings.h"
#include "fcgi/pipeline.h"

#include <math.h>

#define RETRY_MAX_S 60

void deadline_set(struct request *r, int64_t seconds)
{
    struct str asked = str_trim(header(r, "x-request-timeout"));
    double limit = (double)setting_int(SETTING_MAX_REQUEST_TIMEOUT), value;

    if (!asked.len || !str_double(&value, asked))
        value = (double)seconds;
    else if (value < 1)
        value = 1;
    r->deadline_us = r->received_us + (int64_t)(fmin(value, limit) * (double)US_PER_S);
}

enum result stage_deadline(struct request *r)
{
    enum setting setting =
        setting_given(SETTING_REQUEST_TIMEOUT) ? SETTING_REQUEST_TIMEOUT : SETTING_API_TIMEOUT;

    deadline_set(r, setting_int(setting));
    return OK;
}

/* A statement can also run into its own limit, long before. */
enum result deadline_refuse(struct request *r)
{
    int64_t tenths = (r->deadline_us - r->received_us) * 10 / US_PER_S;
    int64_t wait_s = tenths / 20 < 1 ? 1 : tenths / 20;
    struct str seconds =
        arena_printf(r->arena, "%lld.%lld", (long long)tenths / 10, (long long)tenths % 10);

    if (monotonic_us() < r->deadline_us)
        return ERR_TIMEOUT;
    reply_header(r, "X-Timeout-Seconds", seconds);
    return refuse(
        r, ERR_TIMEOUT,
        .message = arena_printf(r->arena, "Request timed out after " STR_FMT "s", STR_ARG(seconds)),
        .details.text =
            arena_printf(r->arena, "{\"timeout_seconds\":" STR_FMT "}", STR_ARG(seconds)),
        .retry_after_s = wait_s < RETRY_MAX_S ? wait_s : RETRY_MAX_S);
}
