/* receipt.h - the signed record of a decision: native form, "aragora.receipt/1".
 *
 * A receipt holds a digest of every text and no text, so that erasing a text leaves receipt and
 * chain verifiable (decision 24). A digest is SHA-256 over a random salt and the text: the salt
 * is erased with the text, so that nobody finds a short one by trying. A receipt is one canonical
 * JSON object (RFC 8785). The signature is made over the bytes of that object without its member
 * "signature"; what stands in that member is checked part by part, so no byte can change unseen.
 *
 * Elsewhere: where receipts are stored (common/store), the chain (chain.h), the public form
 * (odr.h). */
#ifndef ARAGORA_RECEIPT_H
#define ARAGORA_RECEIPT_H

#include "common/receipt/key.h"

#define RECEIPT_SCHEMA     "aragora.receipt/1"
#define RECEIPT_SALT_BYTES 16

struct receipt_participant {
    struct str agent, provider, model; /* provider, model: STR_NONE where undisclosed */
};

/* One text of the debate. */
struct receipt_text {
    struct str kind; /* message, critique, vote */
    struct str agent;
    int64_t round;
    struct str sha256; /* receipt_text_digest() */
};

enum receipt_stance { STANCE_SUPPORT, STANCE_DISSENT, STANCE_ABSTAIN };

/* One agent's vote on the final answer. */
struct receipt_vote {
    struct str agent, role;
    enum receipt_stance stance;
    struct str reason; /* STR_NONE: it gave none */
    struct utc posted_at;
    bool advisory; /* it was heard, and another decided */
};

/* Who took no part in the decision, and in which phase of the debate it failed for what reason. */
struct receipt_absence {
    struct str agent, phase, reason;
};

/* An objection that stood against the final answer at the end. */
struct receipt_critique {
    struct str agent, text;
    double severity; /* 0..10 */
};

struct receipt_facts {
    struct str receipt_id, debate_id;
    int64_t position;     /* in the organisation's chain */
    struct str prev_hash; /* of the chain entry before */
    struct utc created_at;
    struct str task, final_answer;     /* digested here; final_answer may be STR_NONE */
    struct str task_salt, answer_salt; /* hexadecimal */
    struct str verdict;
    double confidence; /* 0..1 */
    struct {
        bool reached;
        struct str method, strength; /* strength may be STR_NONE */
        struct str judge;            /* the agent that gave the answer; STR_NONE: none did */
    } consensus;
    struct list participants; /* of struct receipt_participant */
    struct list absent;       /* of struct receipt_absence */
    struct list texts;        /* of struct receipt_text, in the order of the debate */
    bool is_demo;             /* agents were simulated: sign with the demo key */

    /* For the public form only. */
    struct str reasoning;  /* the summary; STR_NONE: none was made */
    struct list votes;     /* of struct receipt_vote */
    struct list critiques; /* of struct receipt_critique */
};

/* SHA-256 over the salt's bytes and the text. STR_NONE: there is no text. salt: hexadecimal;
 * empty or STR_NONE: none was drawn. Lives in the arena. */
struct str receipt_text_digest(struct arena *arena, struct str salt, struct str text);

/* The columns of a stored receipt. */
struct receipt {
    struct str document;  /* the bytes to keep: signature included */
    struct str digest;    /* SHA-256 of what was signed, lower-case hexadecimal */
    struct str signature; /* base64 */
    struct str key_id;
};

/* *out lives in the arena. ERR_VALIDATION: a fact is missing or out of range. ERR_KEY. */
MUST_USE enum result receipt_build(struct receipt *out, struct arena *arena,
                                   const struct receipt_facts *facts,
                                   const struct receipt_key *key);

/* Also the exit status of aragora verify. */
enum receipt_outcome {
    RECEIPT_VERIFIED = 0,
    RECEIPT_FAILED = 1,    /* something was changed */
    RECEIPT_MALFORMED = 2, /* not a receipt in canonical form */
    RECEIPT_UNPROVEN = 3,  /* well-formed; nothing trusted vouches for it */
};

struct receipt_report {
    enum receipt_outcome outcome;
    struct str reason; /* an English sentence */
    /* What the document says of itself, to believe only if VERIFIED; STR_NONE if MALFORMED or
     * unsigned. */
    struct str receipt_id, digest, key_id;
    bool is_demo;
    struct list warnings; /* of struct str: what weakens it, without failing it */
};

/* document: the exact bytes, no line break behind. key: the one trusted, or NULL. *out lives in
 * the arena. */
void receipt_verify(struct receipt_report *out, struct arena *arena, struct str document,
                    const struct receipt_public_key *key);

/* SHA-256 of what a document's signature is made over, whatever the document says it is;
 * STR_NONE: no JSON object. Lives in the arena. */
struct str receipt_digest(struct arena *arena, struct str document);

#endif
