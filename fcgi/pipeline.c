/* pipeline.c - the stages in their order, and what a worker keeps between requests.
 *
 * The database is opened at the first need and again after a failure, at most once a second.
 * Probes never open it, so that liveness does not wait for a database that hangs; main() tends
 * it between requests, so that readiness comes by itself. */
#include "fcgi/pipeline.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/segment.h"
#include "common/base/settings.h"
#include "common/db/migrate.h"
#include "common/metrics/series.h"
#include "common/store/db_figures.h"
#include "fcgi/endpoints.h"
#include "fcgi/figures.h"
#include "fcgi/route_index.h"

#include <assert.h>
#include <stdlib.h>

#define SLOW_US US_PER_S

struct worker {
    struct arena *arena; /* of the database's configuration and the endpoints */
    struct route_index *routes;
    struct segment *segment;
    struct endpoints *endpoints; /* NULL as long as the segment is */
    struct db *db;
    bool ready;   /* the schema is ours */
    bool doubted; /* it failed since it was ready */
    enum result fault;
    int64_t tried_us;
};

static const struct stage {
    const char *name;
    enum result (*run)(struct request *r);
} stages[] = {
    { "trace", stage_trace },         { "deadline", stage_deadline },
    { "route", stage_route },         { "span", stage_span },
    { "size", stage_size },           { "authenticate", stage_authenticate },
    { "authorise", stage_authorise }, { "rate limit", stage_rate_limit },
    { "body", stage_body },           { "idempotency", stage_idempotency },
    { "handler", stage_handler },
};

enum result worker_new(struct worker **out)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        abort();
    worker->arena = arena_new();
    worker->fault = ERR_DATABASE;
    route_tables_choose();
    route_index_build(&worker->routes, route_tables);
    *out = worker;
    return OK;
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    db_close(worker->db);
    segment_close(worker->segment);
    route_index_free(worker->routes);
    arena_free(worker->arena);
    free(worker);
}

const struct route_index *worker_routes(const struct worker *worker)
{
    return worker->routes;
}

struct segment *worker_segment(struct worker *worker)
{
    if (!worker->segment && segment_open(&worker->segment, setting_cstr(SETTING_DATA_DIR)) == OK) {
        worker->endpoints = endpoints_new(worker->arena, worker->segment, route_tables);
        series_use(worker->segment);
        db_figures_start();
    }
    return worker->segment;
}

struct endpoints *worker_endpoints(const struct worker *worker)
{
    return worker->endpoints;
}

struct segment *request_segment(const struct request *r)
{
    return worker_segment(exchange_of(r)->worker);
}

static enum result open_database(struct worker *worker)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    enum result result;

    if (!worker_segment(worker))
        return ERR_DATABASE;
    if (!worker->db) {
        struct db_config config = db_config_read(worker->arena, worker->segment);

        if (db_open(&worker->db, &config) != OK)
            return ERR_DATABASE;
    }
    db_use(worker->db, arena, STR_NONE);
    result = db_migrated(worker->db);
    db_use(worker->db, worker->arena, STR_NONE);
    return result;
}

struct db *worker_database(struct worker *worker)
{
    int64_t now_us = monotonic_us();

    if (worker->ready && !worker->doubted)
        return worker->db;
    if (worker->tried_us && now_us - worker->tried_us < US_PER_S)
        return worker_database_now(worker);
    worker->tried_us = now_us;
    worker->doubted = false;
    enum result fault = open_database(worker);
    if (fault != OK && fault != worker->fault)
        log_event(LOG_WARNING, "database not ready", "error", error_row(fault)->name);
    worker->fault = fault;
    worker->ready = fault == OK;
    return worker_database_now(worker);
}

struct db *worker_database_now(const struct worker *worker)
{
    return worker->ready ? worker->db : NULL;
}

enum result worker_database_fault(const struct worker *worker)
{
    return worker->fault;
}

/* Probes come every few seconds and say nothing new (http.md 10, 14.1). */
static enum log_level access_level(const struct request *r, int64_t took_us)
{
    if (r->route && r->route->limit == LIMIT_NONE)
        return LOG_DEBUG;
    if (r->response->status >= 500)
        return LOG_ERROR;
    return r->response->status >= 400 || took_us > SLOW_US ? LOG_WARNING : LOG_INFO;
}

static void log_access(const struct request *r, int64_t took_us)
{
    enum log_level level = access_level(r, took_us);
    int64_t tenths = (took_us + 50) / 100;
    char took[INT_TEXT + 2];

    if (!log_wants(level))
        return;
    size_t len = int_text(took, tenths / 10);
    took[len] = '.';
    (void)int_text(took + len + 1, tenths % 10);
    log_event(level, "request", "method", log_str(exchange_param(exchange_of(r), "REQUEST_METHOD")),
              "path", log_str(r->path), "status", log_int(r->response->status), "duration_ms", took,
              "ip", log_str(r->address), "bytes", log_int((int64_t)r->response->body.len), "slow",
              took_us > SLOW_US ? "true" : "false");
}

/* A preflight asks for the rules only: no credential, no log (http.md 1). */
static void answer_options(struct request *r)
{
    r->response->status = 200;
    route_options(r);
    shape_cors(r);
}

void pipeline_run(struct exchange *exchange)
{
    struct request *r = &exchange->request;
    enum result result = OK;

    if (str_is(exchange_param(exchange, "REQUEST_METHOD"), "OPTIONS")) {
        answer_options(r);
        figures_count(r, monotonic_us() - r->received_us);
        return;
    }
    for (size_t i = 0; i < COUNT(stages) && result == OK; i++)
        result = stages[i].run(r);
    if (result == ERR_TIMEOUT)
        result = deadline_refuse(r);
    if (result != DONE) {
        if (r->refusal.result != result)
            r->refusal = (struct refusal){ .result = result };
        response_refuse(r);
    }
    if (r->refusal.result == ERR_DATABASE)
        exchange->worker->doubted = true;
    if (r->refusal.result == ERR_DATABASE || r->refusal.result == ERR_SCHEMA_OLD)
        reply_header(r, "X-Aragora-Degraded", STR("true"));
    shape_answer(r);
    int64_t took_us = monotonic_us() - r->received_us;
    figures_count(r, took_us);
    log_access(r, took_us);
    if (trace_on)
        request_span(r);
    log_context(STR_NONE, STR_NONE);
    if (r->db)
        db_use(r->db, exchange->worker->arena, STR_NONE); /* the request's arena ends here */
}
