/* debate.c - aragora debate: replaying, forking and erasing what was said.
 *
 * Elsewhere: replays (debate_replay.c), forks and steps (debate_fork.c). */
#include "cli/debate.h"

#include "common/base/error.h"
#include "common/store/erasure.h"
#include "common/store/fork.h"

int debate_complain(enum result result, struct db *db, const char *id)
{
    if (result == ERR_DEBATE_NOT_FOUND)
        fprintf(stderr, "aragora: %s: no such debate\n", id);
    else
        fprintf(stderr, "aragora: %s: %s %s\n", id, error_row(result)->message, db_problem(db));
    return EXIT_FAILED;
}

/* What came out of the debate holds its texts too. */
static void tell_offspring(struct db *db, struct str id)
{
    struct list offspring;

    if (debate_offspring(&offspring, db, id) != OK)
        return;
    for (size_t i = 0; i < offspring.count; i++)
        fprintf(stderr, "aragora: its texts stand in " STR_FMT " too, which was not erased\n",
                STR_ARG(((const struct str *)offspring.at)[i]));
}

static int erase(struct db *db, const struct arguments *arguments)
{
    const char *id = arguments->at[1];
    enum result result = receipt_erase(db, str_from(id));

    if (result == OK) {
        tell_offspring(db, str_from(id));
        return EXIT_DONE;
    }
    if (result == ERR_CONFLICT)
        fprintf(stderr, "aragora: %s: it has not ended; cancel it first\n", id);
    else if (result == ERR_ERASED)
        fprintf(stderr, "aragora: %s: it was erased before\n", id);
    else
        return debate_complain(result, db, id);
    return EXIT_FAILED;
}

static const struct verb {
    const char *name;
    int (*run)(struct db *db, const struct arguments *arguments);
    bool forks; /* takes the options of a fork */
} verbs[] = {
    { "replay", debate_replay_run, false },
    { "fork", debate_fork_run, true },
    { "steps", debate_steps_run, false },
    { "erase", erase, false },
};

/* NULL: it is not well-formed. */
static const struct verb *verb_find(const struct arguments *arguments)
{
    bool forks = argument_last(arguments, OPTION_AT) || argument_last(arguments, OPTION_ROUNDS) ||
                 argument_last(arguments, OPTION_PREMISE);

    for (size_t i = 0; i < COUNT(verbs) && arguments->count == 2; i++)
        if (strcmp(arguments->at[0], verbs[i].name) == 0)
            return forks && !verbs[i].forks ? NULL : &verbs[i];
    return NULL;
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;
    const char *org = argument_last(arguments, OPTION_ORG);
    const struct verb *verb = verb_find(arguments);

    if (!verb)
        return command_misused(arguments->command);
    if (command_database(&db, arena, NULL) != OK)
        return EXIT_FAILED;
    if (org)
        db_use(db, arena, str_from(org));
    return verb->run(db, arguments);
}

static const struct option options[] = {
    OPTION_DATA_DIR,
    { "--org", "ID", "the organisation; else the default one", OPTION_ORG, 0 },
    { "--at", "STEP", "fork: the first step that runs live", OPTION_AT, 0 },
    { "--premise", "TEXT", "fork: what the agents are told besides", OPTION_PREMISE, 0 },
    { "--rounds", "N", "fork: rounds; else as many as before", OPTION_ROUNDS, 0 },
    { 0 },
};

const struct command command_debate = {
    "debate",
    "replay ID | fork ID --at STEP | steps ID | erase ID",
    "replay a debate without a call, fork it, list its steps, delete its texts",
    options,
    run,
};
