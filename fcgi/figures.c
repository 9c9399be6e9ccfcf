#include "fcgi/figures.h"

#include "common/base/error.h"
#include "common/metrics/answers.h"
#include "common/metrics/series.h"
#include "fcgi/endpoints.h"
#include "fcgi/pipeline.h"

#include <assert.h>

static_assert((int)ANSWER_OTHER == (int)METHOD_COUNT, "answers.h has the methods of handler.h");

/* The template, so that no client's path becomes a label. */
static struct str endpoint_label(const struct request *r)
{
    return r->route && r->route->path ? str_from(r->route->path) : STR("other");
}

static void count_refusal(const struct request *r, struct segment *segment)
{
    const struct error_row *row = error_row(r->refusal.result);

    if (r->refusal.result == ERR_RATE_LIMITED)
        metric_add(segment,
                   r->route && r->route->limit == LIMIT_CREATE ? METRIC_RATE_LIMIT_HITS_CREATE
                                                               : METRIC_RATE_LIMIT_HITS_DEFAULT,
                   1);
    if (row->status == 401 || row->status == 403)
        series_add(METRIC_AUTH_FAILURES, LABELS(str_from(row->code), endpoint_label(r)), 1);
}

static void count_version(const struct request *r)
{
    const char *method = r->method < METHOD_COUNT ? method_names[r->method] : "OTHER";
    struct labels labels = LABELS(endpoint_label(r), str_from(method));

    if (!str_starts(r->path, STR("/api/v1/")))
        return;
    series_add(METRIC_V1_REQUESTS, labels, 1);
    if (r->refusal.result == ERR_SUNSET)
        series_add(METRIC_V1_BLOCKED, labels, 1);
}

void figures_count(const struct request *r, int64_t took_us)
{
    struct worker *worker = exchange_of(r)->worker;
    struct segment *segment = worker_endpoints(worker) ? worker_segment(worker) : NULL;

    if (!segment)
        return;
    answers_count(segment, endpoint_of(worker_endpoints(worker), r->route),
                  (enum answer_method)r->method, r->response->status, took_us);
    if (r->refusal.result != OK)
        count_refusal(r, segment);
    count_version(r);
}
