/* exporter.h - finished spans wait here for a thread that sends them in batches.
 *
 * Who ends a span only puts it into a ring of bounded size; when that is full because the
 * collector is slow or away, the span is dropped and counted. A batch is tried again as the
 * specification of OTLP/HTTP says; meanwhile the ring fills. */
#ifndef ARAGORA_TRACE_EXPORTER_H
#define ARAGORA_TRACE_EXPORTER_H

#include "common/trace/sender.h"

#define EXPORTER_SPANS 4096                      /* that may wait in a process */
#define EXPORTER_BYTES ((size_t)8 * 1024 * 1024) /* of their texts */

struct exporter_config {
    struct sender_config sender;
    struct str resource;        /* attributes, as of otlp_str(); lives as long as the process */
    size_t batch;               /* spans of one request */
    const char *data_directory; /* whose segment counts; "": none does */
};

/* Starts the thread. Once in a process, never before a fork(). ERR_SYSTEM. */
MUST_USE enum result exporter_start(const struct exporter_config *config);
/* Takes the buffer's memory. Never waits for the network. */
void exporter_take(struct buf *span);
/* Sends what waits, for limit_us at most, and ends the thread. */
void exporter_stop(int64_t limit_us);

#endif
