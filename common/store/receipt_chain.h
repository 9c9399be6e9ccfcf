/* receipt_chain.h - the chain of an organisation as it is stored.
 *
 * The head row is updated first, so that what is appended to one chain queues. */
#ifndef ARAGORA_RECEIPT_CHAIN_H
#define ARAGORA_RECEIPT_CHAIN_H

#include "common/db/db.h"
#include "common/receipt/chain.h"

struct chain_head { /* where the next entry goes */
    int64_t position;
    struct str prev_hash;
    struct utc now; /* by the database's clock */
};

/* Inside a transaction, which must then append an entry at this place. */
MUST_USE enum result receipt_chain_take(struct chain_head *out, struct db *db);
MUST_USE enum result receipt_chain_append(struct db *db, const struct chain_head *head,
                                          struct str kind, const struct chain_entry *entry);

/* Entries behind that position, in order; of struct chain_entry. */
MUST_USE enum result receipt_chain_read(struct list *out, struct db *db, int64_t position,
                                        int64_t limit);
/* The whole file, appended. */
MUST_USE enum result receipt_chain_file(struct buf *out, struct db *db);

#endif
