/* prompt.h - what a model is told: a prompt as a system text and a user text. */
#ifndef ARAGORA_PROMPT_H
#define ARAGORA_PROMPT_H

#include "debated/agent.h"

struct prompt_text {
    struct str system, user;
};

/* *out lives in the arena. The same prompt gives the same texts. */
void prompt_build(struct prompt_text *out, struct arena *arena, const struct prompt *prompt);

#endif
