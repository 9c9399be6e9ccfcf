/* postgres.c - libpq: one connection per session, statements prepared once by text and types.
 *
 * A connection that was lost is rebuilt with its settings, and what failed on it is done again
 * only outside a transaction: inside, the caller hears ERR_DATABASE_RETRY and redoes all. */
#include "common/db/backend.h"

#include "common/base/buf.h"
#include "common/base/clock.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

/* Types by their numbers in pg_type, which never change. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700
};

#define PARAMS 24

struct connection {
    PGconn *handle;
    struct statement statements[STATEMENTS]; /* .prepared is the statement's name */
    unsigned named;
    int64_t timeout_us, deadline_us;
    int64_t limit_us; /* statement_timeout as it is set */
    int64_t
        limit_before_us; /* the same when the transaction began: a rollback undoes SET as well */
    bool in_transaction; /* begun by us and not ended; the server may have lost it */
    char problem[256];
};

static void note(struct connection *c, const char *text)
{
    snprintf(c->problem, sizeof(c->problem), "%s", text);
}

static bool lost(struct connection *c)
{
    return PQstatus(c->handle) == CONNECTION_BAD;
}

static enum result result_of(struct connection *c, const PGresult *answer)
{
    static const struct {
        const char *state;
        enum result result;
    } states[] = {
        { "40001", ERR_DATABASE_RETRY }, /* serialisation */
        { "40P01", ERR_DATABASE_RETRY }, /* deadlock */
        { "23505", ERR_ALREADY_EXISTS }, /* unique */
        { "57014", ERR_TIMEOUT },        /* cancelled by statement_timeout */
        { "55P03", ERR_DATABASE_BUSY },  /* lock not available */
    };
    const char *state = PQresultErrorField(answer, PG_DIAG_SQLSTATE);

    switch (PQresultStatus(answer)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        return OK;
    default:
        break;
    }
    note(c, PQresultErrorMessage(answer));
    for (size_t i = 0; state && i < COUNT(states); i++)
        if (strcmp(state, states[i].state) == 0)
            return states[i].result;
    return ERR_DATABASE;
}

static void clear(PGresult **answer)
{
    PQclear(*answer);
}

static enum result execute(struct connection *c, const char *sql)
{
    CLEANUP(clear) PGresult *answer = PQexec(c->handle, sql);

    return result_of(c, answer);
}

static void forget_statements(struct connection *c)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        free(c->statements[i].sql);
        free(c->statements[i].prepared);
        c->statements[i] = (struct statement){ 0 };
    }
}

static enum result set_up(struct connection *c)
{
    char limit[64];

    snprintf(limit, sizeof(limit), "SET statement_timeout = %lld",
             (long long)(c->timeout_us / US_PER_MS));
    TRY(execute(c, limit));
    c->limit_us = c->timeout_us;
    return execute(c, "SET search_path TO aragora; SET client_min_messages TO warning;"
                      "SET client_encoding TO 'UTF8'; SET standard_conforming_strings TO on");
}

/* The schema and the clock; a race of two first programs ends in an error that means the other
 * one was faster, so what counts is whether they are there in the end. */
static enum result make_schema(struct connection *c)
{
    static const char there[] = "SELECT 'aragora.now_us()'::regprocedure";

    char why[sizeof(c->problem)];

    if (execute(c, there) == OK)
        return OK;
    bool refused = execute(c, "CREATE SCHEMA IF NOT EXISTS aragora") != OK;
    memcpy(why, c->problem, sizeof(why));
    (void)execute(c, "CREATE FUNCTION aragora.now_us() RETURNS bigint LANGUAGE sql VOLATILE AS"
                     " $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$");
    enum result result = execute(c, there);
    if (result != OK && refused)
        note(c, why); /* "permission denied" says more than "does not exist" */
    return result;
}

static void postgres_close(void *connection)
{
    struct connection *c = connection;

    forget_statements(c);
    PQfinish(c->handle);
    free(c);
}

static enum result postgres_open(void **out, const struct db_config *config, char *problem,
                                 size_t size)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct connection *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->timeout_us = config->statement_timeout_us;
    c->handle = PQconnectdb(arena_cstr(arena, config->dsn));
    enum result result = ERR_DATABASE;
    if (lost(c))
        note(c, PQerrorMessage(c->handle));
    else
        result = set_up(c) == OK && make_schema(c) == OK ? OK : ERR_DATABASE;
    if (result != OK) {
        snprintf(problem, size, "%s", c->problem);
        postgres_close(c);
        return result;
    }
    *out = c;
    return OK;
}

/* The values of one call; text of numbers lives in numbers[]. */
struct params {
    Oid types[PARAMS];
    const char *values[PARAMS];
    int lengths[PARAMS], formats[PARAMS];
    char numbers[PARAMS][40];
    int count;
};

static void fill_params(struct params *p, struct arena *arena, const struct bind *binds,
                        size_t count)
{
    p->count = (int)count;
    for (size_t i = 0; i < count; i++) {
        p->types[i] = 0;
        p->values[i] = NULL;
        p->formats[i] = 0;
        switch (binds[i].type) {
        case BIND_NULL:
            break;
        case BIND_STR:
            p->values[i] = arena_cstr(arena, binds[i].str);
            break;
        case BIND_INT:
            snprintf(p->numbers[i], sizeof(p->numbers[i]), "%lld", (long long)binds[i].integer);
            p->values[i] = p->numbers[i];
            p->types[i] = OID_INT8;
            break;
        case BIND_DOUBLE:
            double_text(p->numbers[i], binds[i].real);
            p->values[i] = p->numbers[i];
            p->types[i] = OID_FLOAT8;
            break;
        case BIND_BYTES:
            p->values[i] = (const char *)binds[i].bytes.at;
            p->lengths[i] = (int)binds[i].bytes.len;
            p->formats[i] = 1;
            p->types[i] = OID_BYTEA;
            break;
        }
    }
}

/* PostgreSQL fixes a parameter's type when it prepares, so the types are part of the key; the
 * lock clause loses its comment marks. */
static struct str key_of(struct arena *arena, const char *sql, const struct params *p)
{
    CLEANUP(buf_free) struct buf key = { 0 };
    struct str text = str_from(sql), mark = STR("/* FOR UPDATE SKIP LOCKED */");
    size_t at;

    if (str_find(&at, text, mark)) {
        buf_str(&key, str_slice(text, 0, at));
        buf_str(&key, STR("FOR UPDATE SKIP LOCKED"));
        buf_str(&key, str_slice(text, at + mark.len, text.len));
    } else {
        buf_str(&key, text);
    }
    buf_str(&key, STR(" -- "));
    for (int i = 0; i < p->count; i++)
        buf_printf(&key, "%u ", p->types[i]);
    return arena_str(arena, buf_view(&key));
}

static enum result prepare(const char **name, struct connection *c, struct arena *arena,
                           const char *sql, const struct params *p)
{
    struct str key = key_of(arena, sql, p);
    struct statement *slot = statement_slot(c->statements, key.at);

    if (slot->sql && strcmp(slot->sql, key.at) == 0) {
        *name = slot->prepared;
        return OK;
    }
    if (slot->sql) {
        struct str drop = arena_printf(arena, "DEALLOCATE %s", (char *)slot->prepared);
        (void)execute(c, drop.at);
        free(slot->sql);
        free(slot->prepared);
        slot->sql = NULL;
        slot->prepared = NULL;
    }
    struct str fresh = arena_printf(arena, "s%u", ++c->named);
    CLEANUP(clear) PGresult *answer = PQprepare(c->handle, fresh.at, key.at, p->count, p->types);
    TRY(result_of(c, answer));
    slot->sql = strdup(key.at);
    slot->prepared = strdup(fresh.at);
    if (!slot->sql || !slot->prepared)
        abort();
    *name = slot->prepared;
    return OK;
}

static struct bind cell(PGresult *answer, int row, int column, unsigned char **bytes)
{
    struct str text = { PQgetvalue(answer, row, column), (size_t)PQgetlength(answer, row, column) };
    struct bind out = { 0 };
    size_t len;

    if (PQgetisnull(answer, row, column))
        return out;
    switch (PQftype(answer, column)) {
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        out.type = str_int(&out.integer, text, INT64_MIN, INT64_MAX) ? BIND_INT : BIND_NULL;
        return out;
    case OID_BOOL:
        return bind_int(text.at[0] == 't');
    case OID_FLOAT4:
    case OID_FLOAT8:
    case OID_NUMERIC:
        out.type = str_double(&out.real, text) ? BIND_DOUBLE : BIND_NULL;
        return out;
    case OID_BYTEA:
        *bytes = PQunescapeBytea((const unsigned char *)text.at, &len);
        if (!*bytes)
            abort();
        return (struct bind){ .type = BIND_BYTES, .bytes = { *bytes, len } };
    default:
        return bind_str(text);
    }
}

static enum result give_rows(PGresult *answer, row_fn *fn, void *arg)
{
    struct bind values[48];
    unsigned char *bytes[48] = { 0 };
    int columns = PQnfields(answer);
    enum result result = OK;

    if (columns > (int)COUNT(values))
        abort();
    for (int row = 0; row < PQntuples(answer) && result == OK; row++) {
        for (int i = 0; i < columns; i++)
            values[i] = cell(answer, row, i, &bytes[i]);
        result = fn(arg, values, (size_t)columns);
        for (int i = 0; i < columns; i++) {
            PQfreemem(bytes[i]);
            bytes[i] = NULL;
        }
    }
    return result;
}

/* A round trip only where what is set is off by more than a tenth: nearly every request has the
 * same time left at its statements. */
static enum result apply_deadline(struct connection *c)
{
    int64_t wanted_us = c->deadline_us ? c->deadline_us - monotonic_us() : c->timeout_us;
    char limit[64];

    if (c->deadline_us && wanted_us <= 0)
        return ERR_TIMEOUT;
    if (c->timeout_us && wanted_us > c->timeout_us)
        wanted_us = c->timeout_us;
    if (llabs(c->limit_us - wanted_us) <= wanted_us / 10)
        return OK;
    snprintf(limit, sizeof(limit), "SET statement_timeout = %lld",
             (long long)(wanted_us + US_PER_MS - 1) / US_PER_MS);
    TRY(execute(c, limit));
    c->limit_us = wanted_us;
    return OK;
}

static enum result run_once(struct connection *c, const char *sql, struct binds binds, row_fn *row,
                            void *arg, int64_t *changed)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct params params;
    const char *name;
    int64_t rows = 0;

    TRY(apply_deadline(c));
    fill_params(&params, arena, binds.at, binds.count);
    TRY(prepare(&name, c, arena, sql, &params));
    CLEANUP(clear)
    PGresult *answer = PQexecPrepared(c->handle, name, params.count, params.values, params.lengths,
                                      params.formats, 0);
    TRY(result_of(c, answer));
    if (row)
        TRY(give_rows(answer, row, arg));
    if (changed && str_int(&rows, str_from(PQcmdTuples(answer)), 0, INT64_MAX))
        *changed = rows;
    return OK;
}

static enum result reconnect(struct connection *c)
{
    PQreset(c->handle);
    forget_statements(c);
    if (!lost(c))
        return set_up(c);
    note(c, PQerrorMessage(c->handle));
    return ERR_DATABASE;
}

/* A rebuilt connection has no transaction: what ran on it would be committed at once, and COMMIT
 * would succeed without the earlier work. */
static bool transaction_vanished(struct connection *c)
{
    return c->in_transaction && PQtransactionStatus(c->handle) == PQTRANS_IDLE;
}

static enum result postgres_run(void *connection, const char *sql, struct binds binds, row_fn *row,
                                void *arg, int64_t *changed)
{
    struct connection *c = connection;
    enum result result;

    if (transaction_vanished(c))
        return ERR_DATABASE_RETRY;
    result = run_once(c, sql, binds, row, arg, changed);
    if (result == OK || !lost(c))
        return result;
    TRY(reconnect(c));
    return c->in_transaction ? ERR_DATABASE_RETRY : run_once(c, sql, binds, row, arg, changed);
}

static enum result postgres_script(void *connection, const char *sql)
{
    return execute(connection, sql);
}

static enum result postgres_begin(void *connection)
{
    struct connection *c = connection;
    enum result result = execute(c, "BEGIN");

    if (result != OK && lost(c)) {
        TRY(reconnect(c));
        result = execute(c, "BEGIN");
    }
    c->in_transaction = result == OK;
    c->limit_before_us = c->limit_us;
    return result;
}

/* COMMIT of a failed transaction reports success with the tag ROLLBACK. */
static enum result postgres_commit(void *connection)
{
    struct connection *c = connection;

    if (transaction_vanished(c)) {
        c->in_transaction = false;
        return ERR_DATABASE_RETRY;
    }
    CLEANUP(clear) PGresult *answer = PQexec(c->handle, "COMMIT");
    enum result result = result_of(c, answer);
    bool committed = result == OK && strcmp(PQcmdStatus(answer), "COMMIT") == 0;

    /* The server has ended it either way, so its own status no longer tells. */
    if (!committed)
        c->limit_us = c->limit_before_us;
    c->in_transaction = false;
    return result == OK && !committed ? ERR_DATABASE_RETRY : result;
}

static void postgres_rollback(void *connection)
{
    struct connection *c = connection;
    bool open = !lost(c) && PQtransactionStatus(c->handle) != PQTRANS_IDLE;

    if (open)
        (void)execute(c, "ROLLBACK"); /* if it fails the connection is gone, and so is the work */
    if (open && c->in_transaction)
        c->limit_us = c->limit_before_us;
    c->in_transaction = false;
}

static void postgres_deadline(void *connection, int64_t at_us)
{
    ((struct connection *)connection)->deadline_us = at_us;
}

static const char *postgres_problem(void *connection)
{
    return ((struct connection *)connection)->problem;
}

const struct backend backend_postgres = {
    .open = postgres_open,
    .close = postgres_close,
    .run = postgres_run,
    .script = postgres_script,
    .begin = postgres_begin,
    .commit = postgres_commit,
    .rollback = postgres_rollback,
    .deadline = postgres_deadline,
    .problem = postgres_problem,
};
