/* debate_trace.h - a debate in its trace: the job under the request that created it, its phases,
 * and in these each call of an agent (http.md 9). */
#ifndef ARAGORA_DEBATE_TRACE_H
#define ARAGORA_DEBATE_TRACE_H

#include "debated/debate_run.h"

/* Whichever runner has it: the request stands in the job. */
void job_span_begin(struct run *run);
void job_span_end(struct run *run, enum result result);

void phase_span_begin(struct span *span, const struct run *run, const struct call *calls,
                      size_t count);
void phase_span_end(struct span *span, enum result result);

/* Before the call is made. *traceparent lives in the run; STR_NONE: none is sent. */
void call_span_begin(struct str *traceparent, struct run *run, struct call *call);
/* While its agent_call is still there, if it had one. */
void call_span_end(struct call *call);

#endif
