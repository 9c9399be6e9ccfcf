/* debate_end.h - how a debate ends, whatever the outcome. */
#ifndef ARAGORA_DEBATE_END_H
#define ARAGORA_DEBATE_END_H

#include "debated/debate_run.h"

struct ending {
    const char *status; /* of the loop: completed, timeout, cancelled, error */
    struct str error;
};

/* A run_writer; arg: struct ending. The verdict, the last state and the last events. */
MUST_USE enum result debate_end_write(struct run *run, void *arg);

#endif
