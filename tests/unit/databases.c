#include "tests/unit/databases.h"

#include "common/base/id.h"
#include "common/base/settings.h"
#include "common/db/migrate.h"
#include "common/store/debate.h"
#include "common/store/organization.h"
#include "tests/unit/postgres_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct test_database at;

struct str fresh_org(void)
{
    struct str org = id_new(at.arena, "org_");

    assert_int_equal(organization_member(at.db, org, id_new(at.arena, "user_"),
                                         id_new(at.arena, "mail_"), ROLE_MEMBER),
                     OK);
    db_use(at.db, at.arena, org);
    return org;
}

struct str two_agents_debate(const char *rule)
{
    static struct debate_agent agents[] = {
        { STR("ann"), STR("demo"), STR("proposer") },
        { STR("bob"), STR("demo"), STR("critic") },
    };
    const struct debate_draft draft = { .task = STR("Should we ship on Friday?"),
                                        .consensus = str_from(rule),
                                        .rounds = 2,
                                        .agents = { agents, COUNT(agents) },
                                        .request = { STR("{}") },
                                        .is_demo = true };
    struct str id;

    assert_int_equal(debate_create(&id, at.db, &draft, 1000), OK);
    return id;
}

static int open_directory(void)
{
    const char *problem;

    snprintf(at.directory, sizeof(at.directory), "/tmp/aragora-test-XXXXXX");
    if (!mkdtemp(at.directory))
        return -1;
    setenv("ARAGORA_DATA_DIR", at.directory, 1);
    return settings_load(&problem) == OK ? 0 : -1;
}

static int open_database(void)
{
    at.arena = arena_new();
    if (db_open(&at.db, &at.config) != OK)
        return -1;
    db_use(at.db, at.arena, ORG_DEFAULT);
    return db_migrate(NULL, at.db) == OK && organization_default(at.db) == OK ? 0 : -1;
}

int open_sqlite(void **state)
{
    static char path[96];

    (void)state;
    if (open_directory() != 0 || segment_open(&at.segment, at.directory) != OK)
        return -1;
    snprintf(path, sizeof(path), "%s/aragora.db", at.directory);
    at.config = (struct db_config){
        .backend = DB_SQLITE, .path = str_from(path), .sync_full = true, .segment = at.segment
    };
    return open_database();
}

int open_postgres(void **state)
{
    const char *dsn = open_directory() == 0 ? postgres_server_start() : NULL;

    (void)state;
    if (!dsn)
        return -1;
    at.config = (struct db_config){ .backend = DB_POSTGRES, .dsn = str_from(dsn) };
    return open_database();
}

int close_databases(void **state)
{
    static const char *const files[] = { "aragora.db",
                                         "aragora.db-wal",
                                         "aragora.db-shm",
                                         "keys/receipt.pem",
                                         "keys/demo-receipt.pem",
                                         "keys/master.key",
                                         "keys" };
    char name[128];

    (void)state;
    db_close(at.db);
    arena_free(at.arena);
    segment_close(at.segment);
    if (at.config.backend == DB_POSTGRES)
        postgres_server_stop();
    else
        segment_remove(at.directory);
    for (size_t i = 0; i < COUNT(files); i++) {
        snprintf(name, sizeof(name), "%s/%s", at.directory, files[i]);
        (void)remove(name);
    }
    char directory[sizeof(at.directory)];
    memcpy(directory, at.directory, sizeof(directory));
    at = (struct test_database){ 0 };
    return rmdir(directory);
}
