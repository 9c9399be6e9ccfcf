/* jcs.c - RFC 8785: members sorted, everything else as buf.h writes it. */
#include "common/receipt/jcs.h"

#include <math.h>
#include <stdlib.h>

struct member {
    struct str name;
    struct json_object *value;
};

/* UTF-8 sorts as code points do. UTF-16 puts the surrogates, U+D800 on, before U+E000; in UTF-8
 * that moves the lead bytes EE and EF behind F0 to F4 (RFC 8785 3.2.3). */
static int utf16_rank(char c)
{
    unsigned char byte = (unsigned char)c;

    return byte == 0xee || byte == 0xef ? byte + 0x10 : byte;
}

static int member_compare(const void *left, const void *right)
{
    struct str a = ((const struct member *)left)->name;
    struct str b = ((const struct member *)right)->name;

    for (size_t i = 0; i < a.len && i < b.len; i++)
        if (a.at[i] != b.at[i])
            return utf16_rank(a.at[i]) - utf16_rank(b.at[i]);
    return a.len < b.len ? -1 : a.len > b.len;
}

static enum result write_text(struct buf *out, struct str text)
{
    if (!str_is_text(text))
        return ERR_VALIDATION;
    buf_json_str(out, text);
    return OK;
}

static enum result write_value(struct buf *out, struct json_object *value);

static enum result write_object(struct buf *out, struct json_object *object)
{
    CLEANUP(buf_free) struct buf sorted = { 0 };

    buf_char(out, '{');
    json_object_object_foreach(object, name, child)
    {
        struct member member = { str_from(name), child };

        buf_add(&sorted, &member, sizeof(member));
    }
    struct member *members = (void *)sorted.at; /* from malloc: aligned for any type */
    size_t count = members ? sorted.len / sizeof(*members) : 0;
    if (count)
        qsort(members, count, sizeof(*members), member_compare);
    for (size_t i = 0; i < count; i++) {
        buf_json_comma(out);
        TRY(write_text(out, members[i].name));
        buf_char(out, ':');
        TRY(write_value(out, members[i].value));
    }
    buf_char(out, '}');
    return OK;
}

static enum result write_array(struct buf *out, struct json_object *array)
{
    buf_char(out, '[');
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        buf_json_comma(out);
        TRY(write_value(out, json_object_array_get_idx(array, i)));
    }
    buf_char(out, ']');
    return OK;
}

static enum result write_integer(struct buf *out, int64_t value)
{
    if (value > JCS_INTEGER_MAX || value < -JCS_INTEGER_MAX)
        return ERR_VALIDATION;
    buf_json_int(out, value);
    return OK;
}

static enum result write_double(struct buf *out, double value)
{
    if (!isfinite(value))
        return ERR_VALIDATION;
    buf_json_double(out, value);
    return OK;
}

static enum result write_value(struct buf *out, struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        buf_str(out, STR("null"));
        return OK;
    case json_type_boolean:
        buf_str(out, json_object_get_boolean(value) ? STR("true") : STR("false"));
        return OK;
    case json_type_int:
        return write_integer(out, json_object_get_int64(value));
    case json_type_double:
        return write_double(out, json_object_get_double(value));
    case json_type_string:
        return write_text(out, json_str(value));
    case json_type_array:
        return write_array(out, value);
    case json_type_object:
        return write_object(out, value);
    }
    return ERR_VALIDATION;
}

enum result jcs_write(struct buf *out, struct json_object *value)
{
    size_t before = out->len;
    enum result result = write_value(out, value);

    if (result != OK)
        out->len = before;
    return result;
}

enum result jcs_text(struct str *out, struct arena *arena, struct str json)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    struct json_object *value;

    TRY(json_parse(&value, arena, json, &json_limits_wide, NULL));
    TRY(jcs_write(&text, value));
    *out = arena_str(arena, buf_view(&text));
    return OK;
}
