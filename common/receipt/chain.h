/* chain.h - the entries that hold an organisation's receipts in order, and their file.
 *
 * An entry is a canonical JSON object with the hash of the entry before; its own hash is SHA-256
 * over it. Receipts, erasures and rotations of the signing keys are entries. An entry of a receipt
 * names the digests of its forms and holds the signatures of the public ones, so that they can be
 * checked when a text is erased; one of a rotation is signed by the old key and the new one.
 *
 * As a file each entry is a line, with its "hash" as a further member. */
#ifndef ARAGORA_CHAIN_H
#define ARAGORA_CHAIN_H

#include "common/receipt/receipt.h"

/* prev_hash of an organisation's first entry. */
#define CHAIN_START "0000000000000000000000000000000000000000000000000000000000000000"

struct chain_facts {
    int64_t position; /* from 1 */
    struct str prev_hash;
    struct str kind;    /* receipt, erasure, key_rotation */
    struct str subject; /* the receipt's id; the new key's */
    /* What a kind does not have is absent. */
    struct str digest; /* of the native receipt */
    struct str odr_digest, odr_digest_v01;
    struct json_text odr_signature, odr_signature_v01;                 /* entries of "signatures" */
    struct str old_key_id, old_public_key, new_key_id, new_public_key; /* keys as PEM */
    struct json_text signatures; /* of a rotation: {"new":base64,"old":base64} */
};

struct chain_entry { /* as stored */
    struct str body; /* canonical, without its hash */
    struct str hash;
};

/* *out lives in the arena. ERR_VALIDATION: no canonical form. */
MUST_USE enum result chain_entry_write(struct chain_entry *out, struct arena *arena,
                                       const struct chain_facts *facts);
/* An entry of kind key_rotation at the position of the facts: both keys sign it without its
 * signatures. ERR_KEY. */
MUST_USE enum result chain_rotation_write(struct chain_entry *out, struct arena *arena,
                                          const struct chain_facts *facts,
                                          const struct receipt_key *old_key,
                                          const struct receipt_key *new_key);
/* The entry's line of the file, with its line break. ERR_INVALID_JSON, ERR_VALIDATION. */
MUST_USE enum result chain_line(struct buf *out, struct arena *arena,
                                const struct chain_entry *entry);

/* SHA-256 over the canonical form of an entry without its member "hash", which may be there or
 * not. *out lives in the arena. As jcs_text(); ERR_VALIDATION: not an object, or prev_hash is no
 * digest. */
MUST_USE enum result chain_hash(struct str *out, struct arena *arena, struct str entry);

struct chain_report {
    enum receipt_outcome outcome;
    struct str reason;      /* an English sentence */
    int64_t entries;        /* read */
    int64_t vouched, other; /* receipts signed by a trusted key, and by others; with a key only */
    bool anchored;          /* an entry has the digest that was looked for */
};

/* Every hash is computed anew, every rotation's signatures are checked, and with a key the
 * signatures of the receipts. A key is trusted if it is the one given or if a rotation ties it to
 * a trusted one. VERIFIED: trusted keys signed every receipt; UNPROVEN: the chain holds together,
 * and that is all. digest: looked for among the values of the entries; STR_NONE: nothing is. */
void chain_verify(struct chain_report *out, struct arena *arena, struct str file, struct str digest,
                  const struct receipt_public_key *key);
/* Does the text begin with a line of a chain's file? */
bool chain_is_file(struct arena *arena, struct str text);

#endif
