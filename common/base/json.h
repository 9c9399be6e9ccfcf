/* json.h - JSON that arrives from outside, over json-c.
 *
 * json-c takes duplicate keys, raw control bytes, NaN, lone surrogates and integers that do not
 * fit; a strict scan (RFC 8259, RFC 7493) runs first and refuses them. Writing is in buf.h. */
#ifndef ARAGORA_JSON_H
#define ARAGORA_JSON_H

#include "common/base/arena.h"

#include <json-c/json.h>

struct json_limits {
    int64_t depth;       /* containers inside containers; the top level is depth 0 */
    int64_t array_items; /* of one array */
    int64_t object_keys; /* of one object */
};

extern const struct json_limits json_limits_wide; /* for what we wrote ourselves */

/* Why a text was refused: English, for the client; lives in the arena. */
struct json_fault {
    struct str message;
    size_t at; /* byte */
};

/* *out belongs to the arena (NULL for a JSON null). ERR_INVALID_JSON: not JSON or not
 * I-JSON; ERR_INVALID_STRUCTURE: over a limit. fault may be NULL. */
MUST_USE enum result json_parse(struct json_object **out, struct arena *arena, struct str text,
                                const struct json_limits *limits, struct json_fault *fault);

/* Borrowed from the object. false: absent, null or of another type. */
bool json_get(struct json_object **out, struct json_object *object, const char *key);
bool json_get_str(struct str *out, struct json_object *object, const char *key);
bool json_get_bool(bool *out, struct json_object *object, const char *key);
struct str json_str(struct json_object *value); /* of a string; STR_NONE otherwise */

struct buf;
/* Compact, members in their order, shortest numbers. */
void json_write(struct buf *out, struct json_object *value);

#endif
