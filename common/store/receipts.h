/* receipts.h - the receipts of an organisation.
 *
 * A receipt is appended, in both forms, in the transaction that ends its subject. Its chain entry
 * names the digests of the forms and the entry before; who holds the chain sees a receipt that
 * was taken out or changed.
 *
 * Elsewhere: the chain (receipt_chain.h), the keys (receipt_keys.h), erasing (erasure.h). */
#ifndef ARAGORA_RECEIPTS_H
#define ARAGORA_RECEIPTS_H

#include "common/receipt/odr.h"
#include "common/store/receipt_keys.h"

struct receipt_row { /* strings live in the session's arena */
    struct str receipt_id, debate_id, verdict, digest, signature, key_id, native;
    struct str task; /* STR_NONE: erased */
    bool erased;     /* the texts, and the public form with them */
    double confidence;
    int64_t position;
    struct utc created_at;
};

/* Inside a transaction. Fills in the place in the chain and the time; the id is the caller's.
 * ERR_ALREADY_EXISTS: the debate has one. */
MUST_USE enum result receipt_append(struct receipt_row *out, struct db *db,
                                    const struct receipt_facts *facts,
                                    const struct receipt_signers *signers);
/* By its own id or its debate's. ERR_RECEIPT_NOT_FOUND, also for another organisation's. */
MUST_USE enum result receipt_find(struct receipt_row *out, struct db *db, struct str id);
/* The public form, as signed. ERR_RECEIPT_NOT_FOUND; ERR_ERASED. */
MUST_USE enum result receipt_odr(struct str *out, struct db *db, struct str receipt_id,
                                 enum odr_version version);

struct receipt_filter { /* absent: all */
    struct str debate_id, verdict;
    struct utc from, to; /* to: exclusive */
    bool oldest_first;
    int64_t limit, offset;
};
/* Of struct receipt_row. *total counts all that match. */
MUST_USE enum result receipt_list(struct list *out, int64_t *total, struct db *db,
                                  const struct receipt_filter *filter);

/* Does the chain entry of this receipt hold together with the entry before it, and name its
 * digests, those of the public form too unless it is erased? *problem: an English sentence, or
 * STR_NONE when it does. */
MUST_USE enum result receipt_chain_check(struct str *problem, struct db *db,
                                         const struct receipt_row *receipt);

#endif
