/* odr.h - Open Decision Receipts, profiles 0.1 and 0.2: the public form of a receipt.
 *
 * The document tells the decision with its texts, for readers who know nothing of this server. It
 * is made and signed together with the native receipt, whose digest it names. What the facts do
 * not hold is marked absent with the reason, never made up. Erasing a debate deletes the document;
 * its digest and signature stay in the chain.
 *
 * The profile leaves open how a document is spaced: the digest is made over its canonical form
 * (RFC 8785) without the member "signatures". */
#ifndef ARAGORA_ODR_H
#define ARAGORA_ODR_H

#include "common/receipt/receipt.h"

enum odr_version { ODR_0_1, ODR_0_2, ODR_VERSIONS };

struct odr {
    struct str document;        /* canonical, signatures included */
    struct str digest;          /* what the signature covers; lower-case hexadecimal */
    struct json_text signature; /* the one entry of "signatures" */
};

struct odr_draft {
    const struct receipt_facts *facts;
    struct str native_digest;
    struct str execution_id; /* of the run that decided */
    struct str issuer;       /* STR_NONE: the signature names none */
    const struct receipt_key *key;
};

/* out: by enum odr_version, in the arena. ERR_VALIDATION: a fact is missing or out of range.
 * ERR_KEY. */
MUST_USE enum result odr_build(struct odr out[ODR_VERSIONS], struct arena *arena,
                               const struct odr_draft *draft);

/* As receipt_verify(), with the outcomes of the profile: what is JSON but does not conform, or is
 * signed by another key than the one given, has FAILED; MALFORMED is no JSON. digest is told of
 * every document that conforms. */
void odr_verify(struct receipt_report *out, struct arena *arena, struct str document,
                const struct receipt_public_key *key);
/* What a document's signatures cover, whatever the document says it is; STR_NONE: no JSON object.
 * Lives in the arena. */
struct str odr_document_digest(struct arena *arena, struct str document);

#endif
