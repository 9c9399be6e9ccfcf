/* figures.h - what debates and the calls of their agents add to the metrics. */
#ifndef ARAGORA_FIGURES_H
#define ARAGORA_FIGURES_H

#include "debated/debate_run.h"

/* A call that has ended, for good or for another try; still running as an object. */
void figures_call(const struct run *run, struct call *call);
void figures_phase(enum call_kind kind, int64_t took_us);
/* After its last transaction. */
void figures_debate(const struct run *run, const char *status);

#endif
