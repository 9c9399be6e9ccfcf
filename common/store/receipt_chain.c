#include "common/store/receipt_chain.h"

#define PAGE 500 /* entries */

static const struct field head_row[] = {
    { FIELD(struct chain_head, position) },
    { FIELD(struct chain_head, prev_hash) },
    { FIELD(struct chain_head, now) },
    { 0 },
};

enum result receipt_chain_take(struct chain_head *out, struct db *db)
{
    return db_one(out, db, head_row, ERR_INTERNAL,
                  "INSERT INTO receipt_heads (org_id, position, hash) VALUES ($1, 1, $2)"
                  " ON CONFLICT (org_id) DO UPDATE SET position = receipt_heads.position + 1"
                  " RETURNING position, hash, (SELECT now_us())",
                  BIND(STR(CHAIN_START)));
}

enum result receipt_chain_append(struct db *db, const struct chain_head *head, struct str kind,
                                 const struct chain_entry *entry)
{
    TRY(db_run(NULL, db,
               "INSERT INTO receipt_chain (org_id, position, kind, body, prev_hash, hash)"
               " VALUES ($1, $2, $3, $4, $5, $6)",
               BIND(head->position, kind, entry->body, head->prev_hash, entry->hash)));
    return db_run(NULL, db, "UPDATE receipt_heads SET hash = $2 WHERE org_id = $1",
                  BIND(entry->hash));
}

static const struct field entry_row[] = {
    { FIELD(struct chain_entry, body) },
    { FIELD(struct chain_entry, hash) },
    { 0 },
};

enum result receipt_chain_read(struct list *out, struct db *db, int64_t position, int64_t limit)
{
    return db_all(out, db, entry_row, sizeof(struct chain_entry),
                  "SELECT body, hash FROM receipt_chain WHERE org_id = $1 AND position > $2"
                  " ORDER BY position LIMIT $3",
                  BIND(position, limit));
}

enum result receipt_chain_file(struct buf *out, struct db *db)
{
    struct list page = { .count = PAGE };

    for (int64_t position = 0; page.count == PAGE; position += PAGE) {
        TRY(receipt_chain_read(&page, db, position, PAGE));
        for (size_t i = 0; i < page.count; i++)
            TRY(chain_line(out, db_arena(db), (const struct chain_entry *)page.at + i));
    }
    return OK;
}
