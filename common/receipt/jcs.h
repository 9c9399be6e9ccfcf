/* jcs.h - one text for one JSON value: the JSON Canonicalization Scheme (RFC 8785).
 *
 * What is signed or hashed is written this way, so that whoever holds the value, and not only
 * whoever holds the bytes, can check it. */
#ifndef ARAGORA_JCS_H
#define ARAGORA_JCS_H

#include "common/base/buf.h"
#include "common/base/json.h"

/* Larger integers do not survive a reader that knows doubles only (RFC 7493 2.2). */
#define JCS_INTEGER_MAX (INT64_C(1) << 53)

/* Appends; value NULL is the JSON null. ERR_VALIDATION, with out as it was: an integer beyond
 * +-JCS_INTEGER_MAX, NaN, infinity, text that is not UTF-8. */
MUST_USE enum result jcs_write(struct buf *out, struct json_object *value);

/* The same for JSON text; *out lives in the arena. ERR_INVALID_JSON and ERR_INVALID_STRUCTURE as
 * json_parse(), ERR_VALIDATION as above. */
MUST_USE enum result jcs_text(struct str *out, struct arena *arena, struct str json);

#endif
