/* parse.h - an agent's plain text as a critique or a vote (debates.md 7.1, 7.2).
 *
 * Nothing fails: what cannot be read takes the default. Strings borrow from the text. */
#ifndef ARAGORA_PARSE_H
#define ARAGORA_PARSE_H

#include "common/base/base.h"

#define POINTS_MAX 5

struct points {
    struct str at[POINTS_MAX];
    size_t count;
};

struct critique {
    struct points issues, suggestions;
    double severity; /* 0..10 */
    struct str reasoning;
};

struct vote {
    struct str choice; /* STR_NONE: the text names none */
    double confidence; /* 0..1 */
    struct str reasoning;
};

void parse_critique(struct critique *out, struct str text);
void parse_vote(struct vote *out, struct str text);
/* The agent that a vote means, by its place among the names; the whole text is searched for a
 * name when there is no CHOICE line. false: an abstention. */
bool parse_choice(size_t *out, const struct vote *vote, struct str text, const struct str *names,
                  size_t count);

#endif
