/* databases.h - the set-up of tests that run on SQLite and on PostgreSQL. */
#ifndef ARAGORA_TEST_DATABASES_H
#define ARAGORA_TEST_DATABASES_H

#include "common/base/segment.h"
#include "common/db/db.h"

/* One database of the group, migrated, the data directory beside it; each test takes
 * organisations of its own. */
extern struct test_database {
    struct db_config config;
    struct arena *arena;
    struct db *db;
    struct segment *segment; /* SQLite only */
    char directory[64];
} at;

/* Group set-up and tear-down for cmocka; the settings are loaded with this data directory. */
int open_sqlite(void **state);
int open_postgres(void **state);
int close_databases(void **state);

/* A debate of two demo agents over two rounds, in the session's organisation. */
struct str two_agents_debate(const char *rule);

/* A new organisation with one member; the session is its. */
struct str fresh_org(void);

#endif
