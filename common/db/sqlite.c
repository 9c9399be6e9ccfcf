/* sqlite.c - the embedded database: WAL, STRICT tables, one connection per session.
 *
 * Writers begin with BEGIN IMMEDIATE behind the segment's mutex. That mutex only orders them;
 * SQLite's lock protects the data, and its busy time of 5 s covers writers that do not know the
 * mutex (the sqlite3 shell, a backup). Neither wait outlasts the session's deadline. */
#include "common/db/backend.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/segment.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BUSY_US        (5 * US_PER_S)
#define BUSY_PAUSE_US  (5 * US_PER_MS)
#define PROGRESS_STEPS 20000 /* virtual machine steps between two looks at the clock */

struct connection {
    sqlite3 *handle;
    struct segment *segment;
    bool locked; /* holds the segment's mutex */
    int64_t timeout_us, deadline_us, until_us;
    int64_t busy_until_us; /* of the wait for another's lock */
    struct statement statements[STATEMENTS];
};

static void now_us(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    (void)argv;
    sqlite3_result_int64(context, utc_now().us);
}

static int interrupted(void *arg)
{
    const struct connection *c = arg;

    return c->until_us && monotonic_us() >= c->until_us;
}

/* Waits for another's lock, a piece at a time; 0: long enough. SQLite's own waiting knows no
 * deadline. */
static int wait_busy(void *arg, int tries)
{
    static const struct timespec pause = { .tv_nsec = BUSY_PAUSE_US * 1000 };
    struct connection *c = arg;
    int64_t now_us = monotonic_us();

    if (tries == 0)
        c->busy_until_us = now_us + BUSY_US;
    if (now_us >= c->busy_until_us || (c->until_us && now_us >= c->until_us))
        return 0;
    (void)nanosleep(&pause, NULL);
    return 1;
}

static enum result result_of(struct connection *c, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return interrupted(c) ? ERR_TIMEOUT : ERR_DATABASE_BUSY;
    case SQLITE_INTERRUPT:
        return ERR_TIMEOUT;
    case SQLITE_CONSTRAINT:
        code = sqlite3_extended_errcode(c->handle);
        return code == SQLITE_CONSTRAINT_PRIMARYKEY || code == SQLITE_CONSTRAINT_UNIQUE
                   ? ERR_ALREADY_EXISTS
                   : ERR_DATABASE;
    default:
        return ERR_DATABASE;
    }
}

static enum result sqlite_script(void *connection, const char *sql)
{
    struct connection *c = connection;

    return result_of(c, sqlite3_exec(c->handle, sql, NULL, NULL, NULL));
}

static void sqlite_close(void *connection)
{
    struct connection *c = connection;

    for (size_t i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(c->statements[i].prepared);
        free(c->statements[i].sql);
    }
    sqlite3_close(c->handle);
    if (c->locked)
        segment_writer_unlock(c->segment);
    free(c);
}

static enum result configure(struct connection *c, bool sync_full)
{
    sqlite3_extended_result_codes(c->handle, 1);
    sqlite3_busy_handler(c->handle, wait_busy, c);
    sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_progress_handler(c->handle, PROGRESS_STEPS, interrupted, c);
    TRY(result_of(
        c, sqlite3_create_function(c->handle, "now_us", 0, SQLITE_UTF8, NULL, now_us, NULL, NULL)));
    TRY(sqlite_script(c, "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON;"
                         "PRAGMA cache_size=-2048; PRAGMA temp_store=MEMORY;"));
    return sqlite_script(c, sync_full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
}

static enum result sqlite_open(void **out, const struct db_config *config, char *problem,
                               size_t size)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct connection *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->segment = config->segment;
    c->timeout_us = config->statement_timeout_us;
    int code =
        sqlite3_open_v2(arena_cstr(arena, config->path), &c->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    enum result result = code == SQLITE_OK ? configure(c, config->sync_full) : ERR_DATABASE;
    if (result != OK) {
        snprintf(problem, size, "%s", sqlite3_errmsg(c->handle));
        sqlite_close(c);
        return result;
    }
    *out = c;
    return OK;
}

static enum result prepare(sqlite3_stmt **out, struct connection *c, const char *sql)
{
    struct statement *slot = statement_slot(c->statements, sql);

    if (slot->sql && strcmp(slot->sql, sql) == 0) {
        *out = slot->prepared;
        return OK;
    }
    sqlite3_finalize(slot->prepared);
    free(slot->sql);
    slot->sql = NULL;
    slot->prepared = NULL;
    sqlite3_stmt *prepared;
    TRY(result_of(
        c, sqlite3_prepare_v3(c->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, NULL)));
    slot->sql = strdup(sql);
    if (!slot->sql)
        abort();
    slot->prepared = *out = prepared;
    return OK;
}

/* In SQLite $1 is a name, numbered by first appearance. */
static enum result bind_all(struct connection *c, sqlite3_stmt *statement, const struct bind *binds,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[1 + INT_TEXT] = "$";
        int code = SQLITE_OK;

        (void)int_text(name + 1, (int64_t)i + 1);
        int at = sqlite3_bind_parameter_index(statement, name);
        if (at == 0)
            continue; /* a statement need not use them all: $1 is always given */
        switch (binds[i].type) {
        case BIND_NULL:
            code = sqlite3_bind_null(statement, at);
            break;
        case BIND_STR:
            code = sqlite3_bind_text64(statement, at, binds[i].str.at, binds[i].str.len,
                                       SQLITE_STATIC, SQLITE_UTF8);
            break;
        case BIND_INT:
            code = sqlite3_bind_int64(statement, at, binds[i].integer);
            break;
        case BIND_DOUBLE:
            code = sqlite3_bind_double(statement, at, binds[i].real);
            break;
        case BIND_BYTES:
            code = sqlite3_bind_blob64(statement, at, binds[i].bytes.at, binds[i].bytes.len,
                                       SQLITE_STATIC);
            break;
        }
        TRY(result_of(c, code));
    }
    return OK;
}

static struct bind column(sqlite3_stmt *statement, int at)
{
    size_t len;

    switch (sqlite3_column_type(statement, at)) {
    case SQLITE_INTEGER:
        return (struct bind){ .type = BIND_INT, .integer = sqlite3_column_int64(statement, at) };
    case SQLITE_FLOAT:
        return (struct bind){ .type = BIND_DOUBLE, .real = sqlite3_column_double(statement, at) };
    case SQLITE_TEXT:
        len = (size_t)sqlite3_column_bytes(statement, at);
        return (struct bind){
            .type = BIND_STR,
            .str = { (const char *)sqlite3_column_text(statement, at), len },
        };
    case SQLITE_BLOB:
        len = (size_t)sqlite3_column_bytes(statement, at);
        return (struct bind){ .type = BIND_BYTES,
                              .bytes = { sqlite3_column_blob(statement, at), len } };
    default:
        return (struct bind){ 0 };
    }
}

static enum result step_all(struct connection *c, sqlite3_stmt *statement, row_fn *row, void *arg)
{
    struct bind values[48];
    int count = sqlite3_column_count(statement), code;

    if (count > (int)COUNT(values))
        abort();
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < count; i++)
            values[i] = column(statement, i);
        if (row)
            TRY(row(arg, values, (size_t)count));
    }
    return result_of(c, code);
}

static enum result sqlite_run(void *connection, const char *sql, struct binds binds, row_fn *row,
                              void *arg, int64_t *changed)
{
    struct connection *c = connection;
    sqlite3_stmt *statement;

    c->until_us = c->timeout_us ? monotonic_coarse_us() + c->timeout_us : 0;
    if (c->deadline_us && (!c->until_us || c->deadline_us < c->until_us))
        c->until_us = c->deadline_us;
    TRY(prepare(&statement, c, sql));
    enum result result = bind_all(c, statement, binds.at, binds.count);
    if (result == OK)
        result = step_all(c, statement, row, arg);
    if (result == OK && changed)
        *changed = sqlite3_changes64(c->handle);
    /* An unreset statement keeps its lock, and the WAL from being checkpointed. */
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    c->until_us = 0;
    return result;
}

static void unlock(struct connection *c)
{
    if (c->locked)
        segment_writer_unlock(c->segment);
    c->locked = false;
}

static enum result lock(struct connection *c)
{
    int64_t left_us = c->deadline_us ? c->deadline_us - monotonic_us() : BUSY_US;

    if (left_us <= 0)
        return ERR_TIMEOUT;
    if (left_us >= BUSY_US)
        return segment_writer_lock(c->segment, BUSY_US);
    return segment_writer_lock(c->segment, left_us) == OK ? OK : ERR_TIMEOUT;
}

static enum result sqlite_begin(void *connection)
{
    struct connection *c = connection;

    if (c->segment) {
        TRY(lock(c));
        c->locked = true;
    }
    enum result result = sqlite_run(c, "BEGIN IMMEDIATE", NO_BINDS, NULL, NULL, NULL);
    if (result != OK)
        unlock(c);
    return result;
}

static enum result sqlite_commit(void *connection)
{
    struct connection *c = connection;
    enum result result = sqlite_run(c, "COMMIT", NO_BINDS, NULL, NULL, NULL);

    if (result == OK)
        unlock(c);
    return result;
}

static void sqlite_rollback(void *connection)
{
    struct connection *c = connection;

    if (!sqlite3_get_autocommit(c->handle))
        (void)sqlite_script(c, "ROLLBACK"); /* nothing can be done if it fails: it is closed */
    unlock(c);
}

static void sqlite_deadline(void *connection, int64_t at_us)
{
    ((struct connection *)connection)->deadline_us = at_us;
}

static const char *sqlite_problem(void *connection)
{
    return sqlite3_errmsg(((struct connection *)connection)->handle);
}

const struct backend backend_sqlite = {
    .open = sqlite_open,
    .close = sqlite_close,
    .run = sqlite_run,
    .script = sqlite_script,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .deadline = sqlite_deadline,
    .problem = sqlite_problem,
};
