/* field.h - what a struct's members are called outside, and what they may hold.
 *
 * One table serves the checks of a request, the JSON of a reply, the columns of a query and the
 * schemas of the OpenAPI document. The C member's type decides the field's type, so a table
 * cannot lie:
 *
 *   struct str        text               int64_t           integer (INT_NONE: absent)
 *   bool              boolean            double            number (NaN: absent)
 *   struct utc        time (0: absent)   enum              one of .choices, by index
 *   struct json_text  any JSON           struct bytes      bytes (database only)
 *   struct list       of structs, by FIELD_LIST(); of texts, by FIELD_TEXTS() */
#ifndef ARAGORA_FIELD_H
#define ARAGORA_FIELD_H

#include "common/base/json.h"

struct buf;

enum field_type {
    FIELD_STR,
    FIELD_INT,
    FIELD_BOOL,
    FIELD_DOUBLE,
    FIELD_UTC,
    FIELD_ENUM,
    FIELD_JSON,
    FIELD_BYTES,
    FIELD_STRUCTS, /* struct list of structs described by .fields */
    FIELD_STRS,    /* struct list of struct str */
    FIELD_OBJECT,  /* a struct inside the struct, described by .fields */
};

enum field_from {
    FROM_DEFAULT, /* a name in the path's braces: path; GET and DELETE: query; else body */
    FROM_PATH,
    FROM_QUERY,
    FROM_BODY,
    FROM_HEADER,
};

enum field_absent {
    ABSENT_OMITTED, /* an absent value has no member in the reply */
    ABSENT_NULL,    /* it is null */
    ABSENT_EMPTY,   /* it is "" (text), 0 (numbers), [] (lists), {} (objects) */
};

enum field_form { FORM_ISO, FORM_ISO_Z, FORM_EPOCH }; /* of times in replies */

/* What JSON a FIELD_JSON takes. */
enum json_kind { JSON_ANY, JSON_OBJECT, JSON_ARRAY, JSON_ARRAY_OR_TEXT };

/* Patterns of http.md 3.1, by name. */
enum field_pattern {
    PATTERN_NONE,
    PATTERN_ID,     /* [A-Za-z0-9_-]{1,64} */
    PATTERN_SLUG,   /* [A-Za-z0-9_-]{1,128} */
    PATTERN_AGENT,  /* [A-Za-z0-9_-]{1,32} */
    PATTERN_DOTTED, /* [A-Za-z0-9][A-Za-z0-9._-]{0,127} */
};

struct field {
    const char *name;
    size_t offset;
    enum field_type type;

    /* Input. */
    enum field_from from;
    bool required;
    bool trim;        /* white space at both ends goes before the length is checked */
    int64_t min, max; /* characters, items, or value; max 0: no upper bound */
    double min_real, max_real;
    bool clamp;           /* an out-of-range or unreadable number takes the bound or fallback */
    const char *fallback; /* as text; NULL: zero, or the type's absent value */
    const char *const *choices; /* ends with NULL; an enum's or a text's words */
    enum field_pattern pattern;
    enum json_kind kind;
    const char *alias;   /* a second name that is accepted */
    const char *example; /* for the document, and sent by the contract tests; written as a
                            fallback is, or as JSON where the field takes any */
    bool deprecated;

    /* Output. */
    enum field_absent absent;
    enum field_form form;
    const struct field *fields; /* of the items or the object */
    size_t item_size;

    const char *doc; /* one line */
};

/* clang-format off */
#define FIELD_TYPE(owner, member)                                                                  \
    _Generic(((owner *)0)->member,                                                                 \
        struct str: FIELD_STR,                                                                     \
        int64_t: FIELD_INT,                                                                        \
        bool: FIELD_BOOL,                                                                          \
        double: FIELD_DOUBLE,                                                                      \
        struct utc: FIELD_UTC,                                                                     \
        unsigned: FIELD_ENUM,                                                                      \
        struct json_text: FIELD_JSON,                                                              \
        struct bytes: FIELD_BYTES)
/* clang-format on */

#define FIELD(owner, member)                                                                       \
    .name = #member, .offset = offsetof(owner, member), .type = FIELD_TYPE(owner, member)
/* A member whose outer name is no C identifier, or another one. */
#define FIELD_AS(text, owner, member)                                                              \
    .name = text, .offset = offsetof(owner, member), .type = FIELD_TYPE(owner, member)
#define FIELD_TEXTS(owner, member)                                                                 \
    .name = #member, .offset = offsetof(owner, member), .type = FIELD_STRS
#define FIELD_LIST(owner, member, item, table)                                                     \
    .name = #member, .offset = offsetof(owner, member), .type = FIELD_STRUCTS, .fields = table,    \
    .item_size = sizeof(item)
#define FIELD_INSIDE(owner, member, table)                                                         \
    .name = #member, .offset = offsetof(owner, member), .type = FIELD_OBJECT, .fields = table

/* Why a value was refused; the strings live in the arena or are static. */
struct field_fault {
    enum result result;
    struct str field;   /* its name, with [i] for an item */
    struct str message; /* English, http.md 4.3 */
};

/* The fallback, or the absent value, into every member. Cannot fail: fallbacks are checked by
 * a test over all tables. */
void fields_default(void *object, const struct field *fields, struct arena *arena);
/* One value into its member; text from a path, query or header, or JSON from a body. Only
 * *fault tells on failure. */
MUST_USE enum result field_from_text(void *object, const struct field *field, struct arena *arena,
                                     struct str text, struct field_fault *fault);
MUST_USE enum result field_from_json(void *object, const struct field *field, struct arena *arena,
                                     struct json_object *value, struct field_fault *fault);
bool field_matches(enum field_pattern pattern, struct str text);
const char *field_pattern_text(enum field_pattern pattern);

/* {"name":value,...} */
void fields_write(struct buf *out, const void *object, const struct field *fields);
/* The members without braces, to be joined with others. */
void fields_write_members(struct buf *out, const void *object, const struct field *fields);

size_t fields_count(const struct field *fields);

#endif
