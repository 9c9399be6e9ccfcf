/* openapi_part.h - what the files openapi*.c share: members of a JSON object, and schemas. */
#ifndef ARAGORA_OPENAPI_PART_H
#define ARAGORA_OPENAPI_PART_H

#include "common/base/buf.h"
#include "fcgi/input.h"

/* Each writes ,"key":value with the comma only behind an earlier member. */
static inline void member(struct buf *out, const char *key, const char *text)
{
    buf_json_key(out, str_from(key));
    buf_json_str(out, str_from(text));
}

static inline void open_object(struct buf *out, const char *key)
{
    buf_json_key(out, str_from(key));
    buf_char(out, '{');
}

static inline void whole(struct buf *out, const char *key, int64_t value)
{
    buf_json_key(out, str_from(key));
    buf_json_int(out, value);
}

static inline void member_true(struct buf *out, const char *key)
{
    buf_json_key(out, str_from(key));
    buf_str(out, STR("true"));
}

/* Where a value stands decides what it may be: a text holds no null, a body's null counts as
 * absent, a reply has no bounds. */
enum schema_of { SCHEMA_TEXT, SCHEMA_BODY, SCHEMA_REPLY };

/* The members of one field's schema. */
void schema_field(struct buf *out, const struct field *field, enum schema_of of);
/* Of its second name, which is accepted but no longer the one to use (decision 13). */
void schema_alias(struct buf *out, const struct field *field, enum schema_of of);
/* The members of an object's schema. route: only what it reads from its body; NULL: all. */
void schema_object(struct buf *out, const struct field *fields, enum schema_of of,
                   const struct route *route);
/* A fallback or an example, which are written as a query would, as the JSON of its type. */
void schema_value(struct buf *out, const struct field *field, struct str text);

/* The next name in braces, without the tail's star. false: there is none. */
bool path_brace(struct str *name, struct str *rest);
/* The field that is read from the path by this name; NULL: nobody takes it. */
const struct field *path_field(const struct route *route, struct str name);

#endif
