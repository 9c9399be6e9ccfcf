/* convergence.h - do the agents still change their minds? (debates.md 9.1)
 *
 * Texts are compared by the cosine of their TF-IDF vectors over lower-case words and pairs of
 * neighbouring words, the corpus being all texts that are compared (Salton and Buckley 1988, with
 * smoothed inverse document frequency). 1: the same words; 0: none in common. */
#ifndef ARAGORA_CONVERGENCE_H
#define ARAGORA_CONVERGENCE_H

#include "common/base/arena.h"

struct convergence {
    double *similarity; /* of each agent's text with its text before; 1 where it has none */
    double least, mean;
};

/* before, now: one text per agent, STR_NONE where it has none. Lives in the arena. */
struct convergence convergence_of(struct arena *arena, const struct str *before,
                                  const struct str *now, size_t count);

#endif
