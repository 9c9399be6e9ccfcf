/* judge.h - one agent decides for all (debates.md 10.1). */
#ifndef ARAGORA_JUDGE_H
#define ARAGORA_JUDGE_H

#include "debated/debate_run.h"

#define JUDGES_MAX 3 /* asked one after another until one answers */

struct judges {
    struct str selection; /* one of debate_judge_selections */
    int64_t seed;
    const struct transcript_agent *agents;
    const bool *may; /* by agent: it can be asked */
    size_t count;
};

/* Places of the agents to ask, in order: the first as the selection says, then the rest as they
 * stand, since nobody has a record yet. How many; 0: nobody may. */
size_t judges_choose(size_t out[JUDGES_MAX], const struct judges *judges);

/* Asks them; run->judgement and run->judge are those of the first that answers. */
MUST_USE enum result judge_ask(struct run *run);

#endif
