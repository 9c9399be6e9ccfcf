/* backend.h - what SQLite and PostgreSQL implement; seen by common/db only. */
#ifndef ARAGORA_DB_BACKEND_H
#define ARAGORA_DB_BACKEND_H

#include "common/db/db.h"

/* One row; the values are borrowed until it returns. */
typedef enum result row_fn(void *arg, const struct bind *values, size_t count);

struct backend {
    enum result (*open)(void **connection, const struct db_config *config, char *problem,
                        size_t size);
    void (*close)(void *connection);
    /* Runs to the end. row may be NULL. */
    enum result (*run)(void *connection, const char *sql, struct binds binds, row_fn *row,
                       void *arg, int64_t *changed);
    /* Several statements without parameters; of migrations. */
    enum result (*script)(void *connection, const char *sql);
    enum result (*begin)(void *connection);
    enum result (*commit)(void *connection);
    void (*rollback)(void *connection);
    void (*deadline)(void *connection, int64_t monotonic_us);
    const char *(*problem)(void *connection);
};

extern const struct backend backend_sqlite, backend_postgres;

const struct backend *db_implementation(const struct db *db);
void *db_connection(const struct db *db);

/* Prepared statements by their text: open addressing, the newest replaces when full. */
#define STATEMENTS 256
struct statement {
    uint64_t hash;
    char *sql;
    void *prepared; /* sqlite3_stmt, or the name of a PostgreSQL statement */
};

/* The slot of this text, or a free or to-be-replaced one (then sql differs or is NULL). */
struct statement *statement_slot(struct statement *table, const char *sql);

#endif
