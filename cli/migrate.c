/* migrate.c - aragora migrate, and the database for the other commands.
 *
 * Before steps are applied to a SQLite database that was there, it is copied aside. PostgreSQL
 * has its own backups. */
#include "cli/command.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/segment.h"
#include "common/db/migrate.h"
#include "common/store/organization.h"

#include <unistd.h>

static enum result complain(const char *what, enum result result, struct db *db)
{
    fprintf(stderr, "aragora: %s: %s\n", what,
            db ? db_problem(db) : setting_cstr(SETTING_DATA_DIR));
    return result;
}

/* VACUUM INTO gives a consistent copy also while others write. It must run outside a
 * transaction, which of db.h only db_all() does. */
static enum result copy_aside(struct db *db, struct arena *arena, struct str path)
{
    static const struct field no_row[] = { { 0 } };
    struct str copy =
        arena_printf(arena, STR_FMT ".before-%lld", STR_ARG(path), (long long)utc_now().us);
    struct list none;

    TRY(db_all(&none, db_system(db), no_row, 1, "VACUUM INTO $1", BIND(copy)));
    fprintf(stderr, "aragora: the database as it was: " STR_FMT "\n", STR_ARG(copy));
    return OK;
}

static enum result bring_up(struct db *db, struct arena *arena, struct str copied, int64_t *applied)
{
    if (copied.at && db_migrated(db) == ERR_SCHEMA_OLD)
        TRY(copy_aside(db, arena, copied));
    TRY(db_migrate(applied, db));
    return organization_default(db);
}

enum result command_database(struct db **out, struct arena *arena, int64_t *applied)
{
    struct segment *segment; /* lives as long as the process */
    enum result result = directory_make(arena, setting_str(SETTING_DATA_DIR), 0700);

    if (result != OK)
        return complain("the data directory cannot be made", result, NULL);
    result = segment_open(&segment, setting_cstr(SETTING_DATA_DIR));
    if (result != OK)
        return complain("the shared segment cannot be opened", result, NULL);
    struct db_config config = db_config_read(arena, segment);
    bool old = config.backend == DB_SQLITE && access(arena_cstr(arena, config.path), F_OK) == 0;
    result = db_open(out, &config);
    if (result != OK)
        return complain("the database cannot be opened", result, NULL);
    db_use(*out, arena, ORG_DEFAULT);
    result = bring_up(*out, arena, old ? config.path : STR_NONE, applied);
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
