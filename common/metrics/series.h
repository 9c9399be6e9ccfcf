/* series.h - metrics with labels, of all processes of a host: counters, histograms, gauges.
 *
 * A series is made by its first event. Labels hold what is bounded, as names of providers and
 * words of ours; where a client could choose a value without end, the metric's SERIES_MAX-th
 * series is its last, and what comes then counts as "other". */
#ifndef ARAGORA_SERIES_H
#define ARAGORA_SERIES_H

#include "common/metrics/metrics.h"

#define SERIES_MAX 400 /* of one metric */
#define LABELS_MAX 3

/* Where this process counts; NULL, as before the first call: nowhere. */
void series_use(struct segment *segment);

/* The values of the row's labels, in their order: LABELS(STR("demo"), STR("success")). */
struct labels {
    struct str at[LABELS_MAX];
};
#define LABELS(...) ((struct labels){ { __VA_ARGS__ } })
#define NO_LABELS   ((struct labels){ { STR_NONE } })

/* A counter's n more, or one event of a histogram; in the unit that the row says. */
void series_add(enum metric metric, struct labels labels, int64_t n);

/* What this process says of a gauge, until it says otherwise or is gone. The sum is shown. */
void series_gauge(enum metric metric, int64_t value);

/* The samples of a metric, for metrics_write(). */
struct series_row {
    const char *name, *labels; /* names, separated by commas; "": none */
    const int64_t *bounds;     /* of a histogram, in the unit; end with 0; NULL: a counter */
    int64_t unit;              /* how many are 1 */
};
void series_write(struct buf *out, struct segment *segment, enum metric metric,
                  const struct series_row *row);
void series_write_gauge(struct buf *out, struct segment *segment, enum metric metric,
                        const char *name);

/* Of a metric's row. */
const struct series_row *series_row(enum metric metric);

#endif
