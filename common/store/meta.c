#include "common/store/meta.h"

struct text {
    struct str value;
};

static const struct field text_row[] = { { FIELD(struct text, value) }, { 0 } };

enum result meta_find(struct str *out, struct db *db, struct str key)
{
    struct text text;

    TRY(db_one(&text, db_system(db), text_row, ERR_NOT_FOUND,
               "SELECT value FROM meta WHERE key = $1", BIND(key)));
    *out = text.value;
    return OK;
}

enum result meta_settle(struct str *out, struct db *db, struct str key, struct str value)
{
    TRY(db_run(NULL, db_system(db),
               "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
               BIND(key, value)));
    return meta_find(out, db, key);
}

enum result meta_replace(struct db *db, struct str key, struct str from, struct str to)
{
    int64_t changed;

    TRY(db_run(&changed, db_system(db), "UPDATE meta SET value = $3 WHERE key = $1 AND value = $2",
               BIND(key, from, to)));
    return changed ? OK : ERR_CONFLICT;
}
