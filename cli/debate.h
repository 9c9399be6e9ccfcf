/* debate.h - what stands behind aragora debate, a file for each idea. */
#ifndef ARAGORA_CLI_DEBATE_H
#define ARAGORA_CLI_DEBATE_H

#include "cli/command.h"

/* Each gives an exit status; ID is arguments->at[1]. */
int debate_replay_run(struct db *db, const struct arguments *arguments);
int debate_fork_run(struct db *db, const struct arguments *arguments);
int debate_steps_run(struct db *db, const struct arguments *arguments);

/* Says on standard error what went wrong with a debate; EXIT_FAILED. */
int debate_complain(enum result result, struct db *db, const char *id);

#endif
