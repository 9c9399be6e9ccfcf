/* health.c - probes (http.md 14.1): alive, ready, and a summary for people.
 *
 * They answer from memory: whether the database is there is known from the requests before. Only
 * the summary of v2 asks the database itself. */
#include "common/auth/open_mode.h"
#include "common/base/clock.h"
#include "common/base/provider.h"
#include "common/base/settings.h"
#include "common/base/version.h"
#include "common/db/migrate.h"
#include "common/metrics/metrics.h"
#include "handlers/handler.h"

extern const struct route health_routes[];

static int64_t started_us;

/* Uptime counts from the start of the process, not from the first probe. */
__attribute__((constructor)) static void remember_start(void)
{
    started_us = monotonic_us();
}

struct status {
    struct str status;
};

static const struct field status_out[] = {
    { FIELD(struct status, status), .doc = "State of the process" },
    { 0 },
};

static bool draining(const struct request *r)
{
    int64_t until_s = metric_get(request_segment(r), METRIC_DRAINING_UNTIL);

    return until_s && utc_now().us / US_PER_S < until_s;
}

static enum result health_live(struct request *r)
{
    return reply(r, &(struct status){ STR("alive") });
}

static enum result answer(struct request *r, bool ready, const void *object)
{
    if (ready)
        return reply(r, object);
    reply_header(r, "Retry-After", STR("1"));
    return reply_status(r, r->route->unready_status, object);
}

/* Alive as before while it drains; who asks here wants to know whether to send requests. */
static enum result health_alive(struct request *r)
{
    bool stops = draining(r);

    return answer(r, !stops, &(struct status){ stops ? STR("draining") : STR("ok") });
}

struct checks {
    bool degraded_mode, startup_complete, handlers_initialized, storage_initialized;
};

static const struct field checks_out[] = {
    { FIELD(struct checks, degraded_mode), .doc = "true: not degraded" },
    { FIELD(struct checks, startup_complete), .doc = "The worker is initialised" },
    { FIELD(struct checks, handlers_initialized), .doc = "The routes are loaded" },
    { FIELD(struct checks, storage_initialized), .doc = "The database is open and migrated" },
    { 0 },
};

struct ready {
    struct str status, reason;
    struct checks checks;
    double latency_ms;
    bool fast_probe;
    struct str full_validation;
};

static const struct field ready_out[] = {
    { FIELD(struct ready, status), .doc = "ready or not_ready" },
    { FIELD(struct ready, reason), .doc = "Why not" },
    { FIELD_INSIDE(struct ready, checks, checks_out), .doc = "What readiness needs" },
    { FIELD(struct ready, latency_ms), .doc = "Time of the check" },
    { FIELD(struct ready, fast_probe), .doc = "Memory only, no network" },
    { FIELD(struct ready, full_validation), .doc = "Where the parts are really asked" },
    { 0 },
};

static enum result health_ready(struct request *r)
{
    bool stored = r->db != NULL, stops = draining(r);
    int64_t hundredths = (monotonic_us() - r->received_us) / 10;
    struct ready ready = {
        .status = stored && !stops ? STR("ready") : STR("not_ready"),
        .reason = stops     ? STR("The server is about to stop")
                  : !stored ? STR("The database is not there or not migrated")
                            : STR_NONE,
        .checks = { stored, true, true, stored },
        .latency_ms = (double)hundredths / 100,
        .fast_probe = true,
        .full_validation = STR("/readyz/dependencies"),
    };

    return answer(r, stored && !stops, &ready);
}

struct parts {
    bool storage, shared_memory;
};

static const struct field parts_out[] = {
    { FIELD(struct parts, storage), .doc = "The database answers and is migrated" },
    { FIELD(struct parts, shared_memory), .doc = "Rate limits and metrics of this host" },
    { 0 },
};

struct dependencies {
    struct str status;
    struct parts checks;
    double latency_ms;
};

static const struct field dependencies_out[] = {
    { FIELD(struct dependencies, status), .doc = "ready or not_ready" },
    { FIELD_INSIDE(struct dependencies, checks, parts_out), .doc = "What was asked" },
    { FIELD(struct dependencies, latency_ms), .doc = "Time of the check" },
    { 0 },
};

static bool database_answers(struct request *r)
{
    return r->db && db_migrated(r->db) == OK;
}

static enum result health_dependencies(struct request *r)
{
    struct parts parts = { database_answers(r), request_segment(r) != NULL };
    bool ready = parts.storage && parts.shared_memory && !draining(r);
    int64_t hundredths = (monotonic_us() - r->received_us) / 10;
    struct dependencies out = { ready ? STR("ready") : STR("not_ready"), parts,
                                (double)hundredths / 100 };

    return answer(r, ready, &out);
}

struct health {
    struct str status, timestamp, version;
    int64_t uptime_seconds;
    bool open_mode, demo_mode;
    struct str db_mode;
};

static const struct field health_out[] = {
    { FIELD(struct health, status), .doc = "healthy or degraded" },
    { FIELD(struct health, timestamp), .doc = "Now, RFC 3339 with Z" },
    { FIELD(struct health, version), .doc = "Release of the server" },
    { FIELD(struct health, uptime_seconds), .doc = "Since this worker started" },
    { FIELD(struct health, open_mode), .doc = "Programs of the server's user need no credential" },
    { FIELD(struct health, demo_mode), .doc = "Demo agents answer where none are named" },
    { FIELD(struct health, db_mode), .doc = "sqlite or postgres" },
    { 0 },
};

static enum result health_summary(struct request *r)
{
    char now[UTC_TEXT];
    size_t len = utc_text_z(now, utc_now());
    uid_t starter;
    struct health health = {
        .status = r->db ? STR("healthy") : STR("degraded"),
        .timestamp = { now, len },
        .version = STR(ARAGORA_VERSION),
        .uptime_seconds = (monotonic_us() - started_us) / US_PER_S,
        .open_mode = open_mode_granted(&starter),
        .demo_mode = provider_demo_mode(),
        .db_mode = db_backend_chosen() == DB_SQLITE ? STR("sqlite") : STR("postgres"),
    };

    return answer(r, r->db, &health);
}

struct release {
    struct str api, server, python;
};

static const struct field release_out[] = {
    { FIELD(struct release, api), .doc = "Version of the API" },
    { FIELD(struct release, server), .doc = "Name and release of the server" },
    { FIELD(struct release, python), .absent = ABSENT_EMPTY, .doc = "Always empty",
      .deprecated = true },
    { 0 },
};

struct subsystems {
    struct status storage, shared_memory;
};

static const struct field subsystems_out[] = {
    { FIELD_INSIDE(struct subsystems, storage, status_out), .doc = "The database answers" },
    { FIELD_INSIDE(struct subsystems, shared_memory, status_out),
      .doc = "Rate limits and metrics of this host" },
    { 0 },
};

struct health_v2 {
    struct str status;
    struct utc timestamp;
    struct str uptime;
    struct release version;
    struct str environment;
    struct subsystems subsystems;
};

static const struct field health_v2_out[] = {
    { FIELD(struct health_v2, status), .doc = "healthy or degraded" },
    { FIELD(struct health_v2, timestamp), .form = FORM_ISO_Z, .doc = "Now" },
    { FIELD(struct health_v2, uptime), .doc = "Since this worker started, as 1d 2h 3m 4s" },
    { FIELD_INSIDE(struct health_v2, version, release_out), .doc = "What is running" },
    { FIELD(struct health_v2, environment), .doc = "ARAGORA_ENV" },
    { FIELD_INSIDE(struct health_v2, subsystems, subsystems_out), .doc = "State of each part" },
    { 0 },
};

/* Without leading parts that are zero; the seconds always (domain api_v2, 3.1). */
static struct str uptime_text(struct arena *arena, int64_t seconds)
{
    int days = (int)(seconds / 86400), hours = (int)(seconds / 3600 % 24);
    int minutes = (int)(seconds / 60 % 60), rest = (int)(seconds % 60);

    if (days)
        return arena_printf(arena, "%dd %dh %dm %ds", days, hours, minutes, rest);
    if (hours)
        return arena_printf(arena, "%dh %dm %ds", hours, minutes, rest);
    if (minutes)
        return arena_printf(arena, "%dm %ds", minutes, rest);
    return arena_printf(arena, "%ds", rest);
}

static struct status state(bool good)
{
    return (struct status){ good ? STR("healthy") : STR("unhealthy") };
}

/* 200 in every state: who wants a status code asks /readyz. */
static enum result health_summary_v2(struct request *r)
{
    bool stored = database_answers(r);
    bool shared = request_segment(r) != NULL;
    struct health_v2 health = {
        .status = stored && shared ? STR("healthy") : STR("degraded"),
        .timestamp = utc_now(),
        .uptime = uptime_text(r->arena, (monotonic_us() - started_us) / US_PER_S),
        .version = { .api = STR("2.0.0"), .server = STR("aragora/" ARAGORA_VERSION) },
        .environment = setting_str(SETTING_ENV),
        .subsystems = { .storage = state(stored), .shared_memory = state(shared) },
    };

    return reply(r, &health);
}

#define PROBE .public = true, .limit = LIMIT_NONE, .stability = STABLE, .tag = "Health"

const struct route health_routes[] = {
    { ROUTE(GET, "/healthz", health_alive), .alias = { "/health", "/api/healthz" }, PROBE,
      .no_database = true, .unready_status = 503, .reply = status_out,
      .doc = "Does the process live, and is not about to stop?" },
    { ROUTE(GET, "/livez", health_live), PROBE, .no_database = true, .reply = status_out,
      .doc = "Does the process live? For orchestrators" },
    { ROUTE(GET, "/readyz", health_ready), .alias = { "/ready", "/api/readyz" }, PROBE,
      .unready_status = 503, .reply = ready_out, .doc = "May requests be sent here?" },
    { ROUTE(GET, "/readyz/dependencies", health_dependencies), PROBE, .timeout_s = 5,
      .unready_status = 503, .reply = dependencies_out,
      .doc = "The same, asking the database itself" },
    { ROUTE(GET, "/api/v1/health", health_summary), .alias = { "/api/health" }, PROBE,
      .unready_status = 503, .reply = health_out, .doc = "State, version and uptime" },
    { ROUTE(GET, "/api/v2/health", health_summary_v2), PROBE, .timeout_s = 5,
      .reply = health_v2_out, .doc = "State of each part; asks the database" },
    { 0 },
};
