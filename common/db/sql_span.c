#include "common/db/sql_span.h"

#include "common/base/error.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '(' || c == ')' || c == ',';
}

static struct str next_word(struct str *rest)
{
    size_t from = 0, to;

    while (from < rest->len && is_space(rest->at[from]))
        from++;
    for (to = from; to < rest->len && !is_space(rest->at[to]);)
        to++;
    struct str word = str_slice(*rest, from, to);
    *rest = str_slice(*rest, to, rest->len);
    return word;
}

/* "SELECT ... FROM debates" works on debates. STR_NONE: on no table. */
static struct str table_of(struct str sql)
{
    struct str word;

    while ((word = next_word(&sql)).len)
        if (str_is(word, "FROM") || str_is(word, "INTO") || str_is(word, "UPDATE"))
            return next_word(&sql);
    return STR_NONE;
}

void sql_span_begin(struct span *span, enum db_backend backend, const char *sql)
{
    const struct trace_context *parent = span_current();
    struct str rest = str_from(sql), table, verb;
    char text[16];

    span->recorded = span->entered = false;
    if (!trace_on || !parent || !parent->sampled)
        return;
    table = table_of(rest);
    verb = str_cut(next_word(&rest), sizeof(text) - 1);
    memcpy(text, verb.at, verb.len);
    text[verb.len] = '\0';
    span_begin(span, SPAN_CLIENT, parent, text, table);
    span_str(span, "db.system.name", backend == DB_SQLITE ? STR("sqlite") : STR("postgresql"));
    span_str(span, "db.operation.name", verb);
    span_str(span, "db.collection.name", table);
}

enum result sql_span_end(struct span *span, enum result result)
{
    if (result != OK)
        span_fail(span, str_from(error_row(result)->name));
    span_end(span);
    return result;
}
