/* receipt_keys.h - the keys that sign receipts, and those that did.
 *
 * The private halves stand in DATA/keys. The database holds the public halves, old ones too: by
 * them a lost or exchanged file is noticed (decisions 29, 56), and old receipts are checked.
 *
 * A rotation writes the new key beside the old, commits the database, then moves the file into
 * place. Cut in between, either the old key stays in force, or whoever needs the new one next
 * finds it beside and moves it. */
#ifndef ARAGORA_RECEIPT_KEYS_H
#define ARAGORA_RECEIPT_KEYS_H

#include "common/db/db.h"
#include "common/receipt/key.h"

struct receipt_signers {
    struct receipt_key *real, *demo;
    struct str issuer; /* of receipts without a demo agent; STR_NONE: not known */
};

/* The keys, made on the first start only. *out lives in the arena. ERR_KEY: a key file is
 * missing, or is not the one that the database knows. */
MUST_USE enum result receipt_signers_open(struct receipt_signers *out, struct arena *arena,
                                          struct db *db);
/* The key that signs now, also when it was rotated after signers were opened; then it lives in the
 * session's arena. Inside a transaction that has taken the chain's head no rotation comes between.
 * As receipt_signers_open(). */
MUST_USE enum result receipt_signer(const struct receipt_key **out, struct db *db,
                                    const struct receipt_signers *signers, bool demo);

/* The public key of that id, old or new, or the one of receipts without a demo agent if key_id is
 * STR_NONE. ERR_NOT_FOUND. */
MUST_USE enum result receipt_key_find(struct receipt_public_key *out, struct db *db,
                                      struct str key_id);

/* A new key from now on, told in the chain of every organisation. *out: its public half.
 * ERR_CONFLICT: another rotation came first. ERR_KEY: the old one cannot be read. ERR_DATABASE,
 * _BUSY, _RETRY, ERR_SYSTEM: the old key stays in force, unless the commit came through. */
MUST_USE enum result receipt_key_rotate(struct receipt_public_key *out, struct db *db, bool demo);

#endif
