/* command.h - the sub-commands of aragora and how their command lines are read.
 *
 * A command is one row of the table in main.c. Its options are rows too: an option either
 * overrides a setting, or is kept for the command under its id. */
#ifndef ARAGORA_COMMAND_H
#define ARAGORA_COMMAND_H

#include "common/base/settings.h"
#include "common/db/db.h"

#include <stdio.h>

/* Exit statuses. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum option_id {
    OPTION_SETTING, /* goes to .setting */
    OPTION_NAME,
    OPTION_SCOPE,
    OPTION_DAYS,
    OPTION_USER,
    OPTION_ORG,
    OPTION_PERMISSIONS,
    OPTION_ALL_DOCS,
    OPTION_WEB_SERVER,
    OPTION_PUBKEY,
    OPTION_AGENTS,
    OPTION_ROUNDS,
    OPTION_CONSENSUS,
    OPTION_FOLLOW,
    OPTION_URL,
    OPTION_KEY,
    OPTION_RECEIPT,
    OPTION_PLAIN,
    OPTION_CHAIN,
    OPTION_JSON,
    OPTION_FORMAT,
    OPTION_ODR_VERSION,
    OPTION_OUTPUT,
    OPTION_DEMO,
    OPTION_AT,
    OPTION_PREMISE,
};

struct option {
    const char *name;     /* with its dashes */
    const char *argument; /* a word for the help; NULL: takes none */
    const char *doc;
    enum option_id id;
    enum setting setting;
};

struct given {
    enum option_id id;
    const char *value; /* "" of an option without an argument */
};

struct command;

/* What follows the command's name, read; strings are the process's own. */
struct arguments {
    const struct command *command;
    const char **at; /* what is no option */
    size_t count;
    struct given *given; /* options that are no settings, in their order */
    size_t given_count;
};

struct command {
    const char *name, *arguments, *doc;
    const struct option *options; /* ends with { 0 } */
    int (*run)(const struct arguments *arguments);
};

#define OPTION_DATA_DIR                                                                            \
    {                                                                                              \
        "--data-dir", "DIR", "database, keys and sockets", OPTION_SETTING, SETTING_DATA_DIR        \
    }

extern const struct command command_ask, command_apikey, command_config, command_debate,
    command_doctor, command_migrate, command_receipt, command_routes, command_serve, command_verify,
    command_version;

/* Reads argv behind the command's name; overrides settings. ERR_VALIDATION: said on standard
 * error what is wrong. */
MUST_USE enum result arguments_read(struct arguments *out, struct arena *arena,
                                    const struct command *command, int argc, char **argv);
/* The n-th value of a repeated option; NULL: there is none. */
const char *argument_option(const struct arguments *arguments, enum option_id id, size_t n);

/* Of an option that is given once: the last value wins. NULL: it was not given. */
const char *argument_last(const struct arguments *arguments, enum option_id id);

void command_help(const struct command *command, FILE *out);
/* The help on standard error, and EXIT_USAGE. */
int command_misused(const struct command *command);

/* The database of the settings, its schema brought up, with the default organisation; made if it
 * is not there. Says on standard error what went wrong. *out is the caller's, and to be closed
 * before the arena is freed. */
MUST_USE enum result command_database(struct db **out, struct arena *arena, int64_t *applied);

#endif
