/* odr_form.h - what a builder and a verifier of Open Decision Receipts must agree on. */
#ifndef ARAGORA_ODR_FORM_H
#define ARAGORA_ODR_FORM_H

#include "common/receipt/odr.h"
#include "common/receipt/shape.h"

extern const struct shape odr_members[]; /* later: 0.2 */
extern const char *const odr_versions[]; /* by enum odr_version; ends with NULL */
extern const char *const odr_profiles[];

/* Over the document without its signatures, which may be there. ERR_VALIDATION: it has no
 * canonical form. */
MUST_USE enum result odr_digest(struct str *out, struct arena *arena, struct json_object *document);
/* The bytes that an entry of "signatures" signs; the entry may hold its signature. 0.1 covers the
 * digest alone, 0.2 all that the entry says as well. */
MUST_USE enum result odr_signed_message(struct str *out, struct arena *arena,
                                        enum odr_version version, struct str digest,
                                        struct json_object *entry);

#endif
