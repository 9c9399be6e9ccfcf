/* consensus.h - from votes to a verdict (debates.md 8.1, 8.2, 8.4). */
#ifndef ARAGORA_CONSENSUS_H
#define ARAGORA_CONSENSUS_H

#include "common/base/base.h"

/* Share of the valid votes that a mode asks for. */
#define MAJORITY      0.6
#define SUPERMAJORITY (2.0 / 3)
/* What the word of a judge is worth (debates.md 10.1). */
#define JUDGED 0.8

struct ballot {
    size_t choice; /* place of the agent; ABSTAINED: none */
    double confidence;
};
#define ABSTAINED SIZE_MAX

struct verdict {
    bool reached;
    size_t winner; /* the plurality, also when it is not reached; ABSTAINED: no quorum */
    double confidence;
    const char *strength, *status;
};

/* mode: a rule of debate_rules; one by which a judge decides counts as a majority, for want of a
 * judge. names: the agents, ballots: one of each. */
void consensus_decide(struct verdict *out, struct str mode, const struct ballot *ballots,
                      const struct str *names, size_t count);
/* A judge has answered. Winner and strength stay those of the votes: nobody wins by judging. */
void consensus_judged(struct verdict *verdict);

#endif
