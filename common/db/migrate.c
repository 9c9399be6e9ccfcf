/* migrate.c - all pending steps in one transaction.
 *
 * SQLite's BEGIN IMMEDIATE and a PostgreSQL advisory lock let one runner in; who waited finds
 * nothing left to do. */
#include "common/db/migrate.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/db/backend.h"

static const struct {
    const char *word, *spelling[2]; /* by enum db_backend */
} words[] = {
    { "JSON", { "TEXT", "text" } },
    { "BIGINT", { "INTEGER", "bigint" } },
    { "TIME", { "INTEGER", "bigint" } },
    { "BOOL", { "INTEGER", "bigint" } },
    { "DOUBLE", { "REAL", "double precision" } },
    { "BYTES", { "BLOB", "bytea" } },
};

static bool is_upper_word(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static struct str spelling(enum db_backend backend, struct str word)
{
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_is(word, words[i].word))
            return str_from(words[i].spelling[backend]);
    return word;
}

struct str migration_spell(struct arena *arena, enum db_backend backend, struct str sql)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    bool in_table = false;

    for (size_t i = 0; i < sql.len;) {
        struct str rest = str_slice(sql, i, sql.len);
        size_t len = 0;

        if (str_starts(rest, STR("--"))) { /* a comment goes over as it is */
            while (len < rest.len && rest.at[len] != '\n')
                len++;
            buf_str(&out, str_slice(rest, 0, len));
        } else if (is_upper_word(rest.at[0])) {
            while (len < rest.len && is_upper_word(rest.at[len]))
                len++;
            struct str word = str_slice(rest, 0, len);
            in_table = in_table || str_is(word, "TABLE");
            buf_str(&out, spelling(backend, word));
        } else if (in_table && str_starts(rest, STR(");"))) {
            buf_str(&out, backend == DB_SQLITE ? STR(") STRICT;") : STR(");"));
            in_table = false;
            len = 2;
        } else {
            buf_char(&out, rest.at[0]);
            len = 1;
        }
        i += len;
    }
    return arena_str(arena, buf_view(&out));
}

struct applied {
    int64_t version;
    struct str checksum;
};

static const struct field applied_row[] = {
    { FIELD(struct applied, version) },
    { FIELD(struct applied, checksum) },
    { 0 },
};

static const char migrations_table[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    " version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
    " applied_at BIGINT NOT NULL)";

static size_t known(void)
{
    size_t count = 0;

    while (migrations[count].name)
        count++;
    return count;
}

struct oldest {
    int64_t schema;
};

static const struct field oldest_row[] = { { FIELD(struct oldest, schema) }, { 0 } };

/* A database with more steps than we know says whether it suits us. */
static enum result check_newer(struct db *db)
{
    struct oldest oldest;

    TRY(db_one(&oldest, db_system(db), oldest_row, ERR_SCHEMA_OLD,
               "SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'oldest_schema'", NO_BINDS));
    return oldest.schema <= (int64_t)known() ? OK : ERR_SCHEMA_OLD;
}

/* How many of our steps have run, checked against what they were. */
static enum result read_applied(size_t *out, struct db *db)
{
    struct list list;

    TRY(db_all(&list, db_system(db), applied_row, sizeof(struct applied),
               "SELECT version, checksum FROM schema_migrations ORDER BY version", NO_BINDS));
    size_t ours = list.count < known() ? list.count : known();
    for (size_t i = 0; i < ours; i++) {
        const struct applied *applied = (const struct applied *)list.at + i;

        if (!str_eq(applied->checksum, sha256_hex(db_arena(db), str_from(migrations[i].sql))))
            return ERR_CONFLICT;
    }
    if (list.count > ours)
        TRY(check_newer(db));
    *out = ours;
    return OK;
}

static enum result apply(struct db *db, size_t index)
{
    const struct migration *step = &migrations[index];
    struct arena *arena = db_arena(db);
    struct str sql = migration_spell(arena, db_backend(db), str_from(step->sql));

    TRY(db_implementation(db)->script(db_connection(db), arena_cstr(arena, sql)));
    TRY(db_run(NULL, db_system(db),
               "INSERT INTO meta (key, value) VALUES ('oldest_schema', $1)"
               " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
               BIND(arena_printf(arena, "%lld", (long long)step->suits))));
    return db_run(NULL, db_system(db),
                  "INSERT INTO schema_migrations (version, name, checksum, applied_at)"
                  " VALUES ($1, $2, $3, (SELECT now_us()))",
                  BIND((int64_t)index + 1, step->name, sha256_hex(arena, str_from(step->sql))));
}

enum result db_migrate(int64_t *applied, struct db *db)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    size_t done;

    TRY(tx_begin(&tx, db));
    if (db_backend(db) == DB_POSTGRES) /* any fixed number: "aragora" in a telephone's letters */
        TRY(db_implementation(db)->script(db_connection(db),
                                          "SELECT pg_advisory_xact_lock(2724672)"));
    TRY(db_implementation(db)->script(db_connection(db), migrations_table));
    TRY(read_applied(&done, db));
    for (size_t i = done; migrations[i].name; i++)
        TRY(apply(db, i));
    TRY(tx_commit(&tx));
    if (applied)
        *applied = (int64_t)(known() - done);
    return OK;
}

/* VACUUM INTO gives a consistent copy also while others write. It must run outside a
 * transaction, which of db.h only db_all() does. */
static enum result copy_aside(struct str *copy, struct db *db, struct str path)
{
    static const struct field no_row[] = { { 0 } };
    struct list none;
    struct str to =
        arena_printf(db_arena(db), STR_FMT ".before-%lld", STR_ARG(path), (long long)utc_now().us);

    TRY(db_all(&none, db_system(db), no_row, 1, "VACUUM INTO $1", BIND(to)));
    *copy = to;
    return OK;
}

/* Whatever it holds, ours or not. */
static bool is_empty(struct db *db)
{
    struct applied table;

    return db_one(&table, db_system(db), applied_row, ERR_NOT_FOUND,
                  "SELECT 0, name FROM sqlite_master LIMIT 1", NO_BINDS) == ERR_NOT_FOUND;
}

enum result db_migrate_copying(int64_t *applied, struct str *copy, struct db *db,
                               const struct db_config *config)
{
    *copy = STR_NONE;
    if (db_backend(db) == DB_SQLITE && db_migrated(db) != OK && !is_empty(db))
        TRY(copy_aside(copy, db, config->path));
    return db_migrate(applied, db);
}

enum result db_migrated(struct db *db)
{
    size_t done;

    if (read_applied(&done, db) != OK)
        return ERR_SCHEMA_OLD;
    return done == known() ? OK : ERR_SCHEMA_OLD;
}
