/* rate_limit.c - how often a client may call, shared by all workers of the host (http.md 8).
 *
 * A request takes a token in each layer that concerns it: of its sender, or of the class that its
 * row names; of its credential and its address, where ARAGORA_API_TOKEN is set; of its
 * organisation. The first that has none left refuses, and what the others gave goes back, so that
 * refused requests do not use up an organisation's share. */
#include "common/auth/address.h"
#include "common/base/clock.h"
#include "common/base/segment.h"
#include "common/base/settings.h"
#include "common/metrics/rate.h"
#include "common/metrics/series.h"
#include "fcgi/pipeline.h"

#define LAYERS_MAX 4

struct layer {
    struct str scope, key;
    struct rate rate;
};

struct layers {
    struct layer at[LAYERS_MAX];
    size_t count;
};

/* multiplied: the burst is more than a minute's worth, as the setting says. */
static void add(struct layers *layers, struct str scope, struct str key, enum setting setting,
                bool multiplied)
{
    int64_t rate = setting_int(setting);
    double burst = (double)rate * (multiplied ? setting_real(SETTING_RATE_BURST) : 1);

    layers->at[layers->count++] =
        (struct layer){ scope, key, { .per_minute = rate, .burst = (int64_t)burst } };
}

static struct str sender(struct request *r, struct str address)
{
    if (!r->who.user_id.len)
        return address;
    return arena_printf(r->arena, STR_FMT "/" STR_FMT, STR_ARG(r->who.org_id),
                        STR_ARG(r->who.user_id));
}

/* Not yet by who is about to be refused for his credential. */
static bool may_be_used(const struct request *r)
{
    return r->route->public || r->who.credential != CREDENTIAL_NONE;
}

static void add_sender(struct layers *layers, struct request *r, struct str address)
{
    struct str key = sender(r, address);

    if (r->route->limit == LIMIT_CREATE && may_be_used(r))
        add(layers, STR("create"), key, SETTING_RATE_CREATE, false);
    else if (r->who.role == ROLE_ADMIN || r->who.role == ROLE_OWNER)
        add(layers, STR("admin"), key, SETTING_RATE_ADMIN, true);
    else if (r->who.credential != CREDENTIAL_NONE)
        add(layers, STR("user"), key, SETTING_RATE_USER, true);
    else
        add(layers, STR("public"), key, SETTING_RATE_PUBLIC, true);
}

static struct layers layers_of(struct request *r)
{
    struct str address = address_group(r->arena, r->address);
    bool gate = setting_str(SETTING_API_TOKEN).len;
    struct layers layers = { .count = 0 };

    add_sender(&layers, r, address);
    if (gate && r->who.credential != CREDENTIAL_NONE)
        add(&layers, STR("token"), r->who.key_id.len ? r->who.key_id : STR("server token"),
            SETTING_RATE_TOKEN, false);
    if (gate || setting_given(SETTING_RATE_IP))
        add(&layers, STR("ip"), address, SETTING_RATE_IP, false);
    if (r->who.org_id.len)
        add(&layers, STR("organization"), r->who.org_id, SETTING_RATE_ORGANIZATION, true);
    return layers;
}

static enum result too_often(struct request *r, const struct rate_answer *answer)
{
    int64_t seconds = answer->retry_after_us / US_PER_S + 1;

    reply_header(r, "X-RateLimit-Reset", arena_int(r->arena, utc_now().us / US_PER_S + seconds));
    return refuse(r, ERR_RATE_LIMITED, .retry_after_s = seconds);
}

/* A token of each, or of none. *least: of the layer that has the fewest left, or that refused. */
static struct rate_answer take_all(const struct layer **least, struct segment *segment,
                                   const struct layers *layers)
{
    struct rate_answer fewest = { .remaining = INT64_MAX };
    int64_t now_us = monotonic_us();

    for (size_t i = 0; i < layers->count; i++) {
        const struct layer *layer = &layers->at[i];
        struct rate_answer answer =
            rate_take(segment, layer->scope, layer->key, layer->rate, now_us);

        if (answer.allowed && answer.remaining >= fewest.remaining)
            continue;
        fewest = answer;
        *least = layer;
        if (answer.allowed)
            continue;
        while (i-- > 0)
            rate_give_back(segment, layers->at[i].scope, layers->at[i].key, layers->at[i].rate);
        break;
    }
    return fewest;
}

enum result stage_rate_limit(struct request *r)
{
    const struct layer *least;

    if (r->route->limit == LIMIT_NONE || setting_flag(SETTING_RATE_OFF) ||
        r->who.credential == CREDENTIAL_OPEN)
        return OK;
    struct segment *segment = worker_segment(exchange_of(r)->worker);
    if (!segment)
        return ERR_UNAVAILABLE; /* never "no limit" */
    struct layers layers = layers_of(r);
    least = &layers.at[0];
    struct rate_answer answer = take_all(&least, segment, &layers);
    series_add(METRIC_RATE_DECISIONS,
               LABELS(str_from(r->route->path ? r->route->path : "other"),
                      answer.allowed ? STR("allowed") : STR("rejected")),
               1);
    reply_header(r, "X-RateLimit-Limit", arena_int(r->arena, least->rate.per_minute));
    reply_header(r, "X-RateLimit-Remaining", arena_int(r->arena, answer.remaining));
    return answer.allowed ? OK : too_often(r, &answer);
}
