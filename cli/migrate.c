/* migrate.c - aragora migrate, and the database for the other commands. */
#include "cli/command.h"

#include "common/base/file.h"
#include "common/base/segment.h"
#include "common/db/migrate.h"
#include "common/store/organization.h"

static enum result complain(const char *what, enum result result, struct db *db)
{
    fprintf(stderr, "aragora: %s: %s\n", what,
            db ? db_problem(db) : setting_cstr(SETTING_DATA_DIR));
    return result;
}

static enum result bring_up(struct db *db, const struct db_config *config, int64_t *applied)
{
    struct str copy;

    TRY(db_migrate_copying(applied, &copy, db, config));
    if (copy.at)
        fprintf(stderr, "aragora: the database as it was: " STR_FMT "\n", STR_ARG(copy));
    return organization_default(db);
}

static void close_segment(void *segment)
{
    segment_close(segment);
}

enum result command_database(struct db **out, struct arena *arena, int64_t *applied)
{
    struct segment *segment; /* the arena's, which outlives the database */
    enum result result = directory_make(arena, setting_str(SETTING_DATA_DIR), 0700);

    if (result != OK)
        return complain("the data directory cannot be made", result, NULL);
    result = segment_open(&segment, setting_cstr(SETTING_DATA_DIR));
    if (result != OK)
        return complain("the shared segment cannot be opened", result, NULL);
    arena_defer(arena, close_segment, segment);
    struct db_config config = db_config_read(arena, segment);
    result = db_open(out, &config);
    if (result != OK)
        return complain("the database cannot be opened", result, NULL);
    db_use(*out, arena, ORG_DEFAULT);
    result = bring_up(*out, &config, applied);
    if (result == ERR_SCHEMA_OLD || result == ERR_CONFLICT)
        return complain("the database is newer than this program, or a step was changed", result,
                        *out);
    return result == OK ? OK : complain("the schema cannot be brought up", result, *out);
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;
    int64_t applied;

    if (arguments->count)
        return command_misused(arguments->command);
    if (command_database(&db, arena, &applied) != OK)
        return EXIT_FAILED;
    printf("%lld steps applied\n", (long long)applied);
    return EXIT_DONE;
}

static const struct option options[] = { OPTION_DATA_DIR, { 0 } };

const struct command command_migrate = {
    "migrate", "", "bring the database's schema up", options, run,
};
