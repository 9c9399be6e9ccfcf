/* meta.h - facts about the whole database, one text each. */
#ifndef ARAGORA_META_H
#define ARAGORA_META_H

#include "common/db/db.h"

/* ERR_NOT_FOUND. */
MUST_USE enum result meta_find(struct str *out, struct db *db, struct str key);
/* Whoever comes first writes it; *out is the value that all processes see from then on. */
MUST_USE enum result meta_settle(struct str *out, struct db *db, struct str key, struct str value);
/* From one value to the next, which others wait for until the transaction ends. ERR_CONFLICT: it
 * has another value. */
MUST_USE enum result meta_replace(struct db *db, struct str key, struct str from, struct str to);

#endif
