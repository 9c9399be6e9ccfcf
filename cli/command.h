/* command.h - the sub-commands of aragora; main.c has their table. */
#ifndef ARAGORA_COMMAND_H
#define ARAGORA_COMMAND_H

#include "common/db/db.h"

/* Exit statuses. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* What follows the command's name; options that name a setting are already taken. */
struct arguments {
    int count;
    char **at;
};

int command_apikey(const struct arguments *arguments);
int command_config(const struct arguments *arguments);
int command_migrate(const struct arguments *arguments);
int command_routes(const struct arguments *arguments);
int command_serve(const struct arguments *arguments);
int command_version(const struct arguments *arguments);

/* The database of the settings, its schema brought up, with the default organisation; made if it
 * is not there. Says on standard error what went wrong. *out is the caller's. */
MUST_USE enum result command_database(struct db **out, struct arena *arena, int64_t *applied);

#endif
