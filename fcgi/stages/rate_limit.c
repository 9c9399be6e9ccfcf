/* rate_limit.c - how often a client may call, shared by all workers of the host (http.md 8). */
#include "common/base/clock.h"
#include "common/base/segment.h"
#include "common/base/settings.h"
#include "common/metrics/rate.h"
#include "fcgi/pipeline.h"

static struct rate default_rate(const struct request *r, const char **scope)
{
    enum setting setting = SETTING_RATE_PUBLIC;

    *scope = "public";
    if (r->who.role == ROLE_ADMIN || r->who.role == ROLE_OWNER) {
        setting = SETTING_RATE_ADMIN;
        *scope = "admin";
    } else if (r->who.credential != CREDENTIAL_NONE) {
        setting = SETTING_RATE_USER;
        *scope = "user";
    }
    int64_t per_minute = setting_int(setting);
    return (struct rate){
        .per_minute = per_minute,
        .burst = (int64_t)((double)per_minute * setting_real(SETTING_RATE_BURST)),
    };
}

static enum result too_often(struct request *r, const struct rate_answer *answer)
{
    int64_t seconds = answer->retry_after_us / US_PER_S + 1;

    reply_header(r, "X-RateLimit-Reset", arena_int(r->arena, utc_now().us / US_PER_S + seconds));
    return refuse(r, ERR_RATE_LIMITED, .retry_after_s = seconds);
}

enum result stage_rate_limit(struct request *r)
{
    const char *scope = "create";
    struct rate rate = { setting_int(SETTING_RATE_CREATE), setting_int(SETTING_RATE_CREATE) };
    struct str key = r->address;

    if (r->route->limit == LIMIT_NONE || setting_flag(SETTING_RATE_OFF) ||
        r->who.credential == CREDENTIAL_OPEN)
        return OK;
    struct segment *segment = worker_segment(exchange_of(r)->worker);
    if (!segment)
        return ERR_UNAVAILABLE; /* never "no limit" */
    if (r->route->limit == LIMIT_DEFAULT)
        rate = default_rate(r, &scope);
    if (r->who.user_id.len)
        key = arena_printf(r->arena, STR_FMT "/" STR_FMT, STR_ARG(r->who.org_id),
                           STR_ARG(r->who.user_id));
    struct rate_answer answer = rate_take(segment, str_from(scope), key, rate, monotonic_us());
    reply_header(r, "X-RateLimit-Limit", arena_int(r->arena, rate.per_minute));
    reply_header(r, "X-RateLimit-Remaining", arena_int(r->arena, answer.remaining));
    return answer.allowed ? OK : too_often(r, &answer);
}
