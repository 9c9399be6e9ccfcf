/* migrate.h - numbered SQL files, embedded, run once under a lock.
 *
 * One text serves both databases: the upper-case words TEXT, JSON, BIGINT, TIME, BOOL, DOUBLE
 * and BYTES are spelt per database, and SQLite tables become STRICT. */
#ifndef ARAGORA_MIGRATE_H
#define ARAGORA_MIGRATE_H

#include "common/db/db.h"

struct migration {
    const char *name; /* NNNN_what */
    const char *sql;
    int64_t suits; /* number of the oldest schema whose programs work beside it */
};

extern const struct migration migrations[]; /* ends with { 0 } */

/* Brings the schema up; every pending step in one transaction, so that a kill leaves the old
 * schema or the new one. *applied may be NULL. ERR_SCHEMA_OLD: the program is too old for the
 * database; ERR_CONFLICT: a step was changed after it ran. */
MUST_USE enum result db_migrate(int64_t *applied, struct db *db);
/* The same, after copying a SQLite database that has steps pending to a file beside it, *copy;
 * STR_NONE: there was nothing to copy. PostgreSQL has its own backups. */
MUST_USE enum result db_migrate_copying(int64_t *applied, struct str *copy, struct db *db,
                                        const struct db_config *config);
/* Only looks. OK also for a newer database that suits this program (decision 54).
 * ERR_SCHEMA_OLD: steps are pending, or the program is too old. */
MUST_USE enum result db_migrated(struct db *db);
/* The text for one database, in arena. */
struct str migration_spell(struct arena *arena, enum db_backend backend, struct str sql);

#endif
