/* receipts.h - the receipts of an organisation, and the chain that holds them in order.
 *
 * A receipt is appended in the transaction that ends its subject. The head row is updated first,
 * so that appends of one organisation queue. A chain entry names the receipt's digest and the
 * entry before; who holds the chain sees a receipt that was taken out or changed.
 *
 * The signing keys stand in DATA/keys; the database holds their public halves, by which a lost
 * or exchanged key file is noticed (decisions 29, 56). */
#ifndef ARAGORA_RECEIPTS_H
#define ARAGORA_RECEIPTS_H

#include "common/db/db.h"
#include "common/receipt/receipt.h"

struct receipt_signers {
    struct receipt_key *real, *demo;
};

/* The keys, made on the first start only. *out lives in the arena. ERR_KEY: a key file is
 * missing, or is not the one that the database knows. */
MUST_USE enum result receipt_signers_open(struct receipt_signers *out, struct arena *arena,
                                          struct db *db);
/* The public key of that id, or the one of receipts without a demo agent if key_id is
 * STR_NONE. ERR_NOT_FOUND. */
MUST_USE enum result receipt_key_find(struct receipt_public_key *out, struct db *db,
                                      struct str key_id);

struct receipt_row { /* strings live in the session's arena */
    struct str receipt_id, debate_id, verdict, digest, signature, key_id, native;
    struct str task; /* STR_NONE: erased */
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

struct receipt_filter { /* absent: all */
    struct str debate_id, verdict;
    struct utc from, to; /* to: exclusive */
    bool oldest_first;
    int64_t limit, offset;
};
/* Of struct receipt_row. *total counts all that match. */
MUST_USE enum result receipt_list(struct list *out, int64_t *total, struct db *db,
                                  const struct receipt_filter *filter);

/* Does the chain entry of this receipt hold together with the entry before it, and name this
 * digest? *problem: an English sentence, or STR_NONE when it does. */
MUST_USE enum result receipt_chain_check(struct str *problem, struct db *db,
                                         const struct receipt_row *receipt);

#endif
