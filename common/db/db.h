/* db.h - SQLite and PostgreSQL behind one small interface.
 *
 * A struct db is one session of one thread: a connection, the arena that results go to, and
 * the tenant. $1 of every statement is the organisation, bound here from the session; callers
 * bind $2 on. Statements without a tenant (claiming jobs, login, the sweep) go through
 * db_system(), where $1 is the caller's first value.
 *
 * One dialect for both: $n parameters, ON CONFLICT, RETURNING, (SELECT now_us()) for the
 * database's clock. FOR UPDATE SKIP LOCKED stands in a comment as written here, which
 * PostgreSQL gets uncommented. Statements are prepared once per connection.
 *
 * Writers of one host queue on a mutex in the shared segment before they ask SQLite for its
 * lock, whose own waiting sleeps and starves. */
#ifndef ARAGORA_DB_H
#define ARAGORA_DB_H

#include "common/base/field.h"

#include <math.h>

struct db;
struct segment;

enum db_backend { DB_SQLITE, DB_POSTGRES };

struct db_config {
    enum db_backend backend;
    struct str path; /* SQLite file */
    struct str dsn;  /* libpq connection string */
    bool sync_full;  /* SQLite synchronous=FULL, else NORMAL */
    int64_t statement_timeout_us;
    struct segment *segment; /* NULL: no queue of writers (one process, tests) */
};

/* As the settings say; the strings live in the arena. */
/* Told of every statement that ran, on the thread that ran it; once, at start. */
void db_observe(void (*observer)(const char *sql, int64_t took_us, enum result result));

/* By the settings. */
enum db_backend db_backend_chosen(void);
struct db_config db_config_read(struct arena *arena, struct segment *segment);

/* *out is the caller's, for db_close(); never across fork(). ERR_DATABASE. */
MUST_USE enum result db_open(struct db **out, const struct db_config *config);
void db_close(struct db *db); /* NULL is fine */
void db_cleanup(struct db **db);

/* Arena and tenant of what follows. The organisation is borrowed until the next call. */
void db_use(struct db *db, struct arena *arena, struct str org_id);
struct arena *db_arena(struct db *db);
struct str db_org(struct db *db);
/* The same connection without a tenant; borrowed, dies with db. */
struct db *db_system(struct db *db);
enum db_backend db_backend(const struct db *db);
/* What the database said last, for the log; never for a client. Borrowed. */
const char *db_problem(const struct db *db);
/* Statements that run past this monotonic time are interrupted: ERR_TIMEOUT. 0: none. */
void db_deadline(struct db *db, int64_t monotonic_us);

enum bind_type { BIND_NULL, BIND_STR, BIND_INT, BIND_DOUBLE, BIND_BYTES };

/* A value on its way in or, for a row callback, out. */
struct bind {
    enum bind_type type;
    union {
        struct str str;
        int64_t integer;
        double real;
        struct bytes bytes;
    };
};

struct binds {
    const struct bind *at;
    size_t count;
};

static inline struct bind bind_str(struct str v)
{
    return v.at ? (struct bind){ .type = BIND_STR, .str = v } : (struct bind){ 0 };
}
static inline struct bind bind_cstr(const char *v)
{
    return bind_str(str_from(v));
}
static inline struct bind bind_int(int64_t v)
{
    if (v == INT_NONE)
        return (struct bind){ 0 };
    return (struct bind){ .type = BIND_INT, .integer = v };
}
static inline struct bind bind_double(double v)
{
    if (isnan(v))
        return (struct bind){ 0 };
    return (struct bind){ .type = BIND_DOUBLE, .real = v };
}
static inline struct bind bind_utc(struct utc v)
{
    return v.us ? (struct bind){ .type = BIND_INT, .integer = v.us } : (struct bind){ 0 };
}
static inline struct bind bind_json(struct json_text v)
{
    return bind_str(v.text);
}
static inline struct bind bind_bytes(struct bytes v)
{
    return v.at ? (struct bind){ .type = BIND_BYTES, .bytes = v } : (struct bind){ 0 };
}

/* clang-format off */
#define BIND_ONE(v)                                                                                \
    _Generic((v),                                                                                  \
        struct str: bind_str,                                                                      \
        const char *: bind_cstr,                                                                   \
        char *: bind_cstr,                                                                         \
        int: bind_int,                                                                             \
        bool: bind_int,                                                                            \
        unsigned: bind_int,                                                                        \
        int64_t: bind_int,                                                                         \
        double: bind_double,                                                                       \
        struct utc: bind_utc,                                                                      \
        struct json_text: bind_json,                                                               \
        struct bytes: bind_bytes)(v)
/* clang-format on */

#define BIND_1(a)       BIND_ONE(a)
#define BIND_2(a, ...)  BIND_ONE(a), BIND_1(__VA_ARGS__)
#define BIND_3(a, ...)  BIND_ONE(a), BIND_2(__VA_ARGS__)
#define BIND_4(a, ...)  BIND_ONE(a), BIND_3(__VA_ARGS__)
#define BIND_5(a, ...)  BIND_ONE(a), BIND_4(__VA_ARGS__)
#define BIND_6(a, ...)  BIND_ONE(a), BIND_5(__VA_ARGS__)
#define BIND_7(a, ...)  BIND_ONE(a), BIND_6(__VA_ARGS__)
#define BIND_8(a, ...)  BIND_ONE(a), BIND_7(__VA_ARGS__)
#define BIND_9(a, ...)  BIND_ONE(a), BIND_8(__VA_ARGS__)
#define BIND_10(a, ...) BIND_ONE(a), BIND_9(__VA_ARGS__)
#define BIND_11(a, ...) BIND_ONE(a), BIND_10(__VA_ARGS__)
#define BIND_12(a, ...) BIND_ONE(a), BIND_11(__VA_ARGS__)
#define BIND_13(a, ...) BIND_ONE(a), BIND_12(__VA_ARGS__)
#define BIND_14(a, ...) BIND_ONE(a), BIND_13(__VA_ARGS__)
#define BIND_15(a, ...) BIND_ONE(a), BIND_14(__VA_ARGS__)
#define BIND_16(a, ...) BIND_ONE(a), BIND_15(__VA_ARGS__)
#define BIND_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, name,     \
                  ...)                                                                             \
    name
#define BIND_LIST(...)                                                                             \
    BIND_PICK(__VA_ARGS__, BIND_16, BIND_15, BIND_14, BIND_13, BIND_12, BIND_11, BIND_10, BIND_9,  \
              BIND_8, BIND_7, BIND_6, BIND_5, BIND_4, BIND_3, BIND_2, BIND_1, 0)                   \
    (__VA_ARGS__)
/* BIND(id, limit): $2 on of an ordinary session, $1 on of db_system(). At most 16. */
#define BIND(...)                                                                                  \
    ((struct binds){ (const struct bind[]){ BIND_LIST(__VA_ARGS__) },                              \
                     sizeof((const struct bind[]){ BIND_LIST(__VA_ARGS__) }) /                     \
                         sizeof(struct bind) })
#define NO_BINDS ((struct binds){ NULL, 0 })

/* The first row into *out, columns in the order of the table; texts are copied to the session's
 * arena. No row: the given result. ERR_DATABASE, ERR_DATABASE_BUSY, ERR_DATABASE_RETRY,
 * ERR_TIMEOUT. The statement runs to its end, so RETURNING is complete. */
MUST_USE enum result db_one(void *out, struct db *db, const struct field *row, enum result none,
                            const char *sql, struct binds binds);
/* All rows into an array of structs in the session's arena. */
MUST_USE enum result db_all(struct list *out, struct db *db, const struct field *row, size_t size,
                            const char *sql, struct binds binds);
/* A statement without rows. changed may be NULL. Outside a transaction it is one of its own. */
MUST_USE enum result db_run(int64_t *changed, struct db *db, const char *sql, struct binds binds);

/* A write transaction; not nested. CLEANUP(tx_end) struct tx tx = { 0 }. Its lock order: jobs,
 * loops, the rest. */
struct tx {
    struct db *db; /* NULL: none open */
};
MUST_USE enum result tx_begin(struct tx *tx, struct db *db);
/* ERR_DATABASE_RETRY: nothing was written, the whole may be done again. */
MUST_USE enum result tx_commit(struct tx *tx);
void tx_end(struct tx *tx); /* rolls back unless committed */
bool db_in_tx(const struct db *db);

/* Calls fn(object) once the open transaction has committed, never if it did not. */
void tx_after(struct db *db, void (*fn)(void *object), void *object);

#endif
