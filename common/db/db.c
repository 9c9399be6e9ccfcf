/* db.c - sessions, rows into structs, transactions; the databases are in sqlite.c, postgres.c. */
#include "common/db/backend.h"

#include "common/base/clock.h"
#include "common/base/segment.h"
#include "common/base/settings.h"
#include "common/db/sql_span.h"

#include <math.h>
#include <stdlib.h>

struct after {
    struct after *next;
    void (*fn)(void *object);
    void *object;
};

struct db {
    const struct backend *backend;
    void *connection;
    struct arena *arena; /* of results; the user's */
    struct str org_id;
    struct db *system; /* the view without a tenant; points to itself in that view */
    struct db *owner;  /* the session that this view belongs to, or itself */
    enum db_backend kind;
    bool in_tx;
    struct after *after; /* in the user's arena, newest first */
    char problem[256];   /* of a failed open */
};

static struct str chosen_dsn(void)
{
    struct str dsn = setting_str(SETTING_POSTGRES_DSN);

    return dsn.at ? dsn : setting_str(SETTING_DATABASE_URL);
}

enum db_backend db_backend_chosen(void)
{
    struct str word = setting_str(SETTING_DB_BACKEND);

    if (str_is(word, "auto"))
        return chosen_dsn().at && !setting_flag(SETTING_OFFLINE) ? DB_POSTGRES : DB_SQLITE;
    return str_is(word, "sqlite") ? DB_SQLITE : DB_POSTGRES;
}

struct db_config db_config_read(struct arena *arena, struct segment *segment)
{
    return (struct db_config){
        .backend = db_backend_chosen(),
        .path = data_path(arena, "aragora.db"),
        .dsn = chosen_dsn(),
        .sync_full = str_is(setting_str(SETTING_SQLITE_SYNC), "FULL"),
        .statement_timeout_us = setting_int(SETTING_STATEMENT_TIMEOUT) * US_PER_S,
        .segment = segment,
    };
}

enum result db_open(struct db **out, const struct db_config *config)
{
    struct db *pair = calloc(2, sizeof(*pair)); /* the session and its view without a tenant */

    if (!pair)
        abort();
    for (int i = 0; i < 2; i++) {
        pair[i].backend = config->backend == DB_SQLITE ? &backend_sqlite : &backend_postgres;
        pair[i].kind = config->backend;
        pair[i].owner = &pair[0];
        pair[i].system = &pair[1];
    }
    enum result result =
        pair->backend->open(&pair->connection, config, pair->problem, sizeof(pair->problem));
    if (result != OK) {
        free(pair);
        return result;
    }
    pair[1].connection = pair[0].connection;
    *out = pair;
    return OK;
}

void db_close(struct db *db)
{
    if (!db)
        return;
    db->owner->backend->close(db->owner->connection);
    free(db->owner);
}

void db_cleanup(struct db **db)
{
    db_close(*db);
}

void db_use(struct db *db, struct arena *arena, struct str org_id)
{
    db->owner->arena = db->system->arena = arena;
    db->owner->org_id = org_id;
}

struct arena *db_arena(struct db *db)
{
    return db->arena;
}

struct str db_org(struct db *db)
{
    return db->owner->org_id;
}

struct db *db_system(struct db *db)
{
    return db->system;
}

enum db_backend db_backend(const struct db *db)
{
    return db->kind;
}

const struct backend *db_implementation(const struct db *db)
{
    return db->backend;
}

void *db_connection(const struct db *db)
{
    return db->connection;
}

const char *db_problem(const struct db *db)
{
    return db->backend->problem(db->connection);
}

void db_deadline(struct db *db, int64_t at_us)
{
    db->backend->deadline(db->connection, at_us);
}

struct statement *statement_slot(struct statement *table, const char *sql)
{
    uint64_t hash = str_hash(str_from(sql));
    size_t home = hash % STATEMENTS;

    for (size_t i = 0; i < 8; i++) {
        struct statement *slot = &table[(home + i) % STATEMENTS];

        if (!slot->sql || (slot->hash == hash && strcmp(slot->sql, sql) == 0)) {
            slot->hash = hash;
            return slot;
        }
    }
    table[home].hash = hash;
    return &table[home];
}

static void (*observed)(const char *sql, int64_t took_us, enum result result);

void db_observe(void (*observer)(const char *sql, int64_t took_us, enum result result))
{
    observed = observer;
}

/* $1 is the organisation, unless this is the view without a tenant. */
static enum result run(struct db *db, const char *sql, struct binds binds, row_fn *row, void *arg,
                       int64_t *changed)
{
    struct bind all[24];
    size_t first = db == db->system ? 0 : 1;

    if (binds.count + first > COUNT(all))
        abort();
    if (first) {
        if (!db->org_id.at)
            abort(); /* a query of a tenant without one: a bug, not an input */
        all[0] = bind_str(db->org_id);
    }
    if (binds.count)
        memcpy(all + first, binds.at, binds.count * sizeof(*all));
    struct span span;

    sql_span_begin(&span, db->kind, sql);
    int64_t begun_us = observed ? monotonic_us() : 0;
    enum result result = db->backend->run(
        db->connection, sql, (struct binds){ all, binds.count + first }, row, arg, changed);
    if (observed)
        observed(sql, monotonic_us() - begun_us, result);
    return sql_span_end(&span, result);
}

static void copy_value(void *member, const struct field *field, struct arena *arena,
                       const struct bind *value)
{
    bool null = value->type == BIND_NULL;
    double real = value->type == BIND_INT ? (double)value->integer : value->real;
    unsigned choice = 0;

    switch (field->type) {
    case FIELD_STR:
    case FIELD_JSON:
        *(struct str *)member = value->type == BIND_STR ? arena_str(arena, value->str) : STR_NONE;
        break;
    case FIELD_INT:
        *(int64_t *)member = null ? INT_NONE : value->integer;
        break;
    case FIELD_BOOL:
        *(bool *)member = !null && value->integer != 0;
        break;
    case FIELD_DOUBLE:
        *(double *)member = null ? NAN : real;
        break;
    case FIELD_UTC:
        ((struct utc *)member)->us = null ? 0 : value->integer;
        break;
    case FIELD_ENUM:
        while (value->type == BIND_STR && field->choices[choice] &&
               !str_is(value->str, field->choices[choice]))
            choice++;
        *(unsigned *)member = field->choices[choice] ? choice : 0;
        break;
    case FIELD_BYTES: {
        struct str copy =
            value->type == BIND_BYTES
                ? arena_str(arena, (struct str){ (const char *)value->bytes.at, value->bytes.len })
                : STR_NONE;
        *(struct bytes *)member = (struct bytes){ (const unsigned char *)copy.at, copy.len };
        break;
    }
    case FIELD_STRUCTS:
    case FIELD_STRS:
    case FIELD_OBJECT:
        abort(); /* no column holds these */
    }
}

struct one {
    struct db *db;
    const struct field *row;
    void *out;
    bool found;
};

static void copy_row(void *out, struct db *db, const struct field *row, const struct bind *values,
                     size_t count)
{
    for (size_t i = 0; i < count && row[i].name; i++)
        copy_value((char *)out + row[i].offset, &row[i], db->arena, &values[i]);
}

static enum result take_one(void *arg, const struct bind *values, size_t count)
{
    struct one *one = arg;

    if (!one->found)
        copy_row(one->out, one->db, one->row, values, count);
    one->found = true;
    return OK;
}

/* A single writing statement outside a transaction queues like a transaction does. */
static bool writes(const char *sql)
{
    return strncmp(sql, "SELECT", 6) != 0;
}

enum result db_one(void *out, struct db *db, const struct field *row, enum result none,
                   const char *sql, struct binds binds)
{
    struct one one = { .db = db, .row = row, .out = out };

    if (writes(sql) && !db_in_tx(db)) {
        CLEANUP(tx_end) struct tx tx = { 0 };

        TRY(tx_begin(&tx, db));
        TRY(run(db, sql, binds, take_one, &one, NULL));
        TRY(tx_commit(&tx));
    } else {
        TRY(run(db, sql, binds, take_one, &one, NULL));
    }
    return one.found ? OK : none;
}

struct all {
    struct db *db;
    const struct field *row;
    size_t size, room;
    struct list list;
};

static enum result take_each(void *arg, const struct bind *values, size_t count)
{
    struct all *all = arg;

    if (all->list.count == all->room) {
        size_t room = all->room ? 2 * all->room : 16;
        void *more = arena_array(all->db->arena, room, all->size);

        if (all->list.count)
            memcpy(more, all->list.at, all->list.count * all->size);
        all->list.at = more;
        all->room = room;
    }
    copy_row((char *)all->list.at + all->list.count++ * all->size, all->db, all->row, values,
             count);
    return OK;
}

enum result db_all(struct list *out, struct db *db, const struct field *row, size_t size,
                   const char *sql, struct binds binds)
{
    struct all all = { .db = db, .row = row, .size = size };

    TRY(run(db, sql, binds, take_each, &all, NULL));
    if (!all.list.at)
        all.list.at = arena_alloc(db->arena, size); /* empty, not absent */
    *out = all.list;
    return OK;
}

enum result db_run(int64_t *changed, struct db *db, const char *sql, struct binds binds)
{
    int64_t count = 0;

    if (db_in_tx(db)) {
        TRY(run(db, sql, binds, NULL, NULL, &count));
    } else {
        CLEANUP(tx_end) struct tx tx = { 0 };

        TRY(tx_begin(&tx, db));
        TRY(run(db, sql, binds, NULL, NULL, &count));
        TRY(tx_commit(&tx));
    }
    if (changed)
        *changed = count;
    return OK;
}

bool db_in_tx(const struct db *db)
{
    return db->owner->in_tx;
}

enum result tx_begin(struct tx *tx, struct db *db)
{
    struct span span;

    if (db_in_tx(db))
        abort();
    sql_span_begin(&span, db->kind, "BEGIN");
    TRY(sql_span_end(&span, db->backend->begin(db->connection)));
    db->owner->in_tx = true;
    db->owner->after = NULL;
    tx->db = db->owner;
    return OK;
}

enum result tx_commit(struct tx *tx)
{
    struct db *db = tx->db;
    struct span span;

    sql_span_begin(&span, db->kind, "COMMIT");
    enum result result = sql_span_end(&span, db->backend->commit(db->connection));

    db->in_tx = false;
    tx->db = NULL;
    if (result != OK) {
        db->backend->rollback(db->connection);
        return result;
    }
    /* The list is newest first; what was asked for first is called first. */
    struct after *first = NULL;
    while (db->after) {
        struct after *next = db->after->next;

        db->after->next = first;
        first = db->after;
        db->after = next;
    }
    for (; first; first = first->next)
        first->fn(first->object);
    return OK;
}

void tx_end(struct tx *tx)
{
    if (!tx->db)
        return;
    tx->db->backend->rollback(tx->db->connection);
    tx->db->in_tx = false;
    tx->db->after = NULL;
    tx->db = NULL;
}

void tx_after(struct db *db, void (*fn)(void *object), void *object)
{
    struct after *after = arena_alloc(db->arena, sizeof(*after));

    if (!db_in_tx(db))
        abort();
    *after = (struct after){ db->owner->after, fn, object };
    db->owner->after = after;
}
