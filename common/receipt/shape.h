/* shape.h - which members a JSON object has, and what stands in each: a table per form.
 *
 * A member that the table does not name is a fault: a reader who does not know it could pass over
 * what it says. The open blocks of the ODR profile are the one exception. */
#ifndef ARAGORA_SHAPE_H
#define ARAGORA_SHAPE_H

#include "common/base/json.h"

enum shape_kind {
    SHAPE_STRING, /* any text */
    SHAPE_TEXT,   /* one that is not empty */
    SHAPE_DIGEST, /* SHA-256 in lower-case hexadecimal: one digest, one text */
    SHAPE_TIME,
    SHAPE_WORD, /* one of .words */
    SHAPE_FLAG,
    SHAPE_INTEGER,
    SHAPE_COUNT, /* an integer from 0 on */
    SHAPE_NUMBER,
    SHAPE_UNIT,           /* a number from 0 to 1 */
    SHAPE_STRINGS,        /* an array of texts */
    SHAPE_LIST,           /* an array of objects, each as .inner says; NULL: any */
    SHAPE_OBJECT,         /* exactly the members of .inner; NULL: any */
    SHAPE_OPEN,           /* the members of .inner, and any others */
    SHAPE_BLOCK,          /* as SHAPE_OBJECT, or an absent marker */
    SHAPE_TEXT_OR_ABSENT, /* as SHAPE_TEXT, or an absent marker */
};

struct shape { /* one member; a table ends with { 0 } */
    const char *name;
    enum shape_kind kind;
    const struct shape *inner;
    const char *const *words; /* ends with NULL */
    bool optional, nullable;
    bool filled; /* SHAPE_LIST: not empty */
    bool later;  /* not in the first version of the form */
};

/* later: members of a later version may be there. *fault: what does not fit first, as
 * "place: must be ..."; lives in the arena; NULL: not wanted. */
bool shape_fits(struct str *fault, struct arena *arena, struct json_object *object,
                const struct shape *members, bool later);
/* Takes out what only a later version knows. */
void shape_strip_later(struct json_object *object, const struct shape *members);

/* Lower case only: one digest, one text. */
bool is_lower_hex(struct str text, size_t digits);

#endif
