/* debate.c - aragora debate: erasing what was said. */
#include "cli/command.h"

#include "common/base/error.h"
#include "common/store/erasure.h"

static int erase(struct db *db, const char *id)
{
    enum result result = receipt_erase(db, str_from(id));

    if (result == OK)
        return EXIT_DONE;
    if (result == ERR_DEBATE_NOT_FOUND)
        fprintf(stderr, "aragora: %s: no such debate\n", id);
    else if (result == ERR_CONFLICT)
        fprintf(stderr, "aragora: %s: it has not ended; cancel it first\n", id);
    else if (result == ERR_ERASED)
        fprintf(stderr, "aragora: %s: it was erased before\n", id);
    else
        fprintf(stderr, "aragora: %s: %s %s\n", id, error_row(result)->message, db_problem(db));
    return EXIT_FAILED;
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;
    const char *org = argument_option(arguments, OPTION_ORG, 0);

    if (arguments->count != 2 || strcmp(arguments->at[0], "erase") != 0)
        return command_misused(arguments->command);
    if (command_database(&db, arena, NULL) != OK)
        return EXIT_FAILED;
    if (org)
        db_use(db, arena, str_from(org));
    return erase(db, arguments->at[1]);
}

static const struct option options[] = {
    OPTION_DATA_DIR,
    { "--org", "ID", "the organisation; else the default one", OPTION_ORG, 0 },
    { 0 },
};

const struct command command_debate = {
    "debate", "erase ID", "delete the texts of a debate", options, run,
};
