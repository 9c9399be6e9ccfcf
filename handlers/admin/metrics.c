/* metrics.c - what this host's processes have counted, for Prometheus (http.md 11). */
#include "common/metrics/metrics.h"
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/settings.h"
#include "common/metrics/answers.h"
#include "common/metrics/rate.h"
#include "handlers/handler.h"

extern const struct route metrics_routes[];

#define TEXT_FORMAT "text/plain; version=0.0.4; charset=utf-8"

static enum result check_token(struct request *r)
{
    struct str expected = setting_str(SETTING_METRICS_TOKEN);
    struct str sent = str_trim(header(r, "authorization"));

    if (!expected.len)
        return OK;
    if (!sent.len)
        return refuse(r, ERR_AUTH_REQUIRED);
    if (!str_eq_nocase(str_slice(sent, 0, 7), STR("bearer ")) ||
        !secret_eq(str_trim(str_slice(sent, 7, sent.len)), expected))
        return refuse(r, ERR_AUTH_INVALID);
    return OK;
}

/* The paths of all routes by their places in the segment. */
static const char **endpoints_of_routes(struct arena *arena, struct segment *segment)
{
    const char **endpoints = arena_array(arena, ENDPOINTS, sizeof(*endpoints));

    for (const struct route *const *table = route_tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            endpoints[answers_endpoint(segment, str_from(route->path))] = route->path;
    return endpoints;
}

static enum result metrics_get(struct request *r)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct segment *segment = request_segment(r);

    TRY(check_token(r));
    if (!segment)
        return ERR_UNAVAILABLE;
    metric_set(segment, METRIC_RATE_LIMIT_TOKENS_TRACKED, rate_tracked(segment, monotonic_us()));
    metrics_write(&out, segment, endpoints_of_routes(r->arena, segment));
    return reply_text(r, 200, TEXT_FORMAT, arena_str(r->arena, buf_view(&out)));
}

/* Public as far as the pipeline goes: ARAGORA_METRICS_TOKEN, where set, is asked for here and is
 * no credential of any user. */
const struct route metrics_routes[] = {
    { ROUTE(GET, "/metrics", metrics_get), .public = true, .no_database = true, .limit = LIMIT_NONE,
      .stability = STABLE, .reply_type = TEXT_FORMAT, ERRORS(ERR_AUTH_REQUIRED),
      .tag = "Monitoring",
      .doc = "Counters, gauges and histograms of this host; needs ARAGORA_METRICS_TOKEN if set" },
    { 0 },
};
