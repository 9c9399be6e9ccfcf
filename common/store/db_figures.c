#include "common/store/db_figures.h"

#include "common/base/error.h"
#include "common/db/db.h"
#include "common/metrics/series.h"

#include <ctype.h>

/* Words of statements, behind which a table's name stands. */
static const struct {
    struct str verb, before_table;
    const char *operation;
} forms[] = {
    { STR("SELECT"), STR(" FROM "), "select" },
    { STR("INSERT"), STR(" INTO "), "insert" },
    { STR("UPDATE"), STR("UPDATE "), "update" },
    { STR("DELETE"), STR(" FROM "), "delete" },
};

/* The table is the first that is named. Our statements have no quotes and no comments. */
static struct labels labels_of(struct str sql)
{
    for (size_t i = 0; i < COUNT(forms); i++) {
        size_t at, len = 0;

        if (!str_starts(sql, forms[i].verb) || !str_find(&at, sql, forms[i].before_table))
            continue;
        struct str rest = str_slice(sql, at + forms[i].before_table.len, sql.len);
        while (len < rest.len && (isalnum((unsigned char)rest.at[len]) || rest.at[len] == '_'))
            len++;
        return LABELS(str_from(forms[i].operation),
                      len ? str_slice(rest, 0, len) : STR("subquery"));
    }
    return LABELS(STR("other"), STR("other"));
}

static bool is_answer(enum result result)
{
    return result == OK || error_row(result)->status < 500;
}

static void count(const char *sql, int64_t took_us, enum result result)
{
    struct labels labels = labels_of(str_from(sql));

    series_add(METRIC_DB_QUERIES, labels, 1);
    series_add(METRIC_DB_DURATION, labels, took_us);
    if (!is_answer(result))
        series_add(METRIC_DB_ERRORS, LABELS(str_from(error_row(result)->name), labels.at[0]), 1);
}

void db_figures_start(void)
{
    db_observe(count);
}
