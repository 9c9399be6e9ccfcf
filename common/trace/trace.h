/* trace.h - traces of a program, as the settings say. */
#ifndef ARAGORA_TRACE_H
#define ARAGORA_TRACE_H

#include "common/trace/span.h"

/* Once, after settings_load() and after signals are blocked. program: a literal. Without an
 * endpoint nothing starts. ERR_SETTING: a setting is not supported, *problem then says which, in
 * static memory; ERR_SYSTEM. */
MUST_USE enum result trace_start(const char *program, const char **problem);
/* Would trace_start() refuse the settings? ERR_SETTING, with *problem as there. */
MUST_USE enum result trace_check(const char **problem);
/* Sends what waits, for up to a second. */
void trace_stop(void);

/* Is a trace recorded? parent_sampled: as of sampler_takes(). */
bool trace_takes(const unsigned char trace[TRACE_ID_BYTES], const bool *parent_sampled);
/* What is done here for somebody else, remote, or of itself (NULL), and whether that is recorded.
 * Where nothing is exported it is remote as it came. */
void span_begin_remote(struct span *span, enum span_kind kind, const struct trace_context *remote);
/* Are traceparent headers read and sent (OTEL_PROPAGATORS)? */
bool trace_is_told(void);

#endif
