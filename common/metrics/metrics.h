/* metrics.h - what the processes of a host count together, without a lock.
 *
 * Every process adds to cells of the shared segment; whoever is asked writes the sums of all.
 * They live as long as the segment's file: a program that starts again counts on. */
#ifndef ARAGORA_METRICS_H
#define ARAGORA_METRICS_H

#include "common/base/buf.h"
#include "common/base/segment.h"

enum metric {
#define METRIC(id, type, name, labels, help)                 METRIC_##id,
#define ANSWERS(id, type, name, form, help)                  METRIC_##id,
#define LABELLED(id, type, name, labels, bounds, unit, help) METRIC_##id,
#define PROCESSES(id, name, help)                            METRIC_##id,
#include "common/metrics/metrics.def"
#undef METRIC
#undef ANSWERS
#undef LABELLED
#undef PROCESSES
    METRIC_COUNT
};

/* Only rows METRIC() of metrics.def have a cell that is shown. segment NULL: nobody counts. */
void metric_add(struct segment *segment, enum metric metric, int64_t n);
void metric_set(struct segment *segment, enum metric metric, int64_t value);

int64_t metric_get(struct segment *segment, enum metric metric); /* segment NULL: 0 */

/* Prometheus text format 0.0.4. endpoints[i] is the path that answers_endpoint() gave place
 * i; NULL: not shown. */
void metrics_write(struct buf *out, struct segment *segment,
                   const char *const endpoints[ENDPOINTS]);

#endif
