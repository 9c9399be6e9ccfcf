/* json.c - a strict scan, then json-c.
 *
 * The scan keeps no tree: it checks the grammar, the limits and the numbers, and counts the
 * members of all objects. json-c lets the last of two equal keys win, so a tree with fewer
 * members than the text shows a duplicate. */
#include "common/base/json.h"

#include "common/base/buf.h"

#include <math.h>

#define DEPTH_MAX 200 /* of json-c's tokener too; the limits are below it */

const struct json_limits json_limits_wide = { .depth = DEPTH_MAX - 1,
                                              .array_items = INT64_MAX,
                                              .object_keys = INT64_MAX };

struct scan {
    const char *from, *at, *end;
    const struct json_limits *limits;
    const char *problem;
    enum result result;
    int64_t limit, seen;   /* what a structural problem speaks of */
    size_t members, pairs; /* of surrogates, escaped */
};

static bool scan_value(struct scan *s, int64_t depth);

static bool problem(struct scan *s, enum result result, const char *text)
{
    s->problem = text;
    s->result = result;
    return false;
}

static bool bad(struct scan *s, const char *text)
{
    return problem(s, ERR_INVALID_JSON, text);
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool next_is(struct scan *s, char c)
{
    if (s->at >= s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* Four hexadecimal digits. */
static bool scan_unit(struct scan *s, unsigned *out)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++, s->at++) {
        int c = s->at < s->end ? *s->at : '\0';
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit == 16)
            return bad(s, "bad \\u escape");
        value = value * 16 + digit;
    }
    *out = value;
    return true;
}

static bool scan_escape(struct scan *s)
{
    unsigned unit, low;

    if (s->at >= s->end)
        return bad(s, "unterminated string");
    if (*s->at != 'u')
        return strchr("\"\\/bfnrt", *s->at) && *s->at ? (s->at++, true) : bad(s, "bad escape");
    s->at++;
    if (!scan_unit(s, &unit))
        return false;
    if (unit == 0)
        return bad(s, "NUL character in a string");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return bad(s, "lone surrogate");
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    if (!next_is(s, '\\') || !next_is(s, 'u'))
        return bad(s, "lone surrogate");
    if (!scan_unit(s, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return bad(s, "lone surrogate");
    s->pairs++;
    return true;
}

static bool scan_string(struct scan *s)
{
    if (!next_is(s, '"'))
        return bad(s, "expected a string");
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at++;

        if (c == '"')
            return true;
        if (c < 0x20)
            return bad(s, "control character in a string");
        if (c == '\\' && !scan_escape(s))
            return false;
    }
    return bad(s, "unterminated string");
}

static size_t scan_digits(struct scan *s)
{
    const char *from = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return (size_t)(s->at - from);
}

static bool scan_number(struct scan *s)
{
    const char *from = s->at;
    bool whole = true;

    next_is(s, '-');
    if (next_is(s, '0')) {
        if (s->at < s->end && *s->at >= '0' && *s->at <= '9')
            return bad(s, "leading zero");
    } else if (scan_digits(s) == 0) {
        return bad(s, "unexpected character");
    }
    if (next_is(s, '.')) {
        whole = false;
        if (scan_digits(s) == 0)
            return bad(s, "digits must follow a decimal point");
    }
    if (next_is(s, 'e') || next_is(s, 'E')) {
        whole = false;
        if (!next_is(s, '+'))
            next_is(s, '-');
        if (scan_digits(s) == 0)
            return bad(s, "digits must follow an exponent");
    }
    struct str text = { from, (size_t)(s->at - from) };
    int64_t integer;
    double real;
    if (whole)
        return str_int(&integer, text, INT64_MIN, INT64_MAX) ? true
                                                             : bad(s, "integer out of range");
    return str_double(&real, text) ? true : bad(s, "number out of range");
}

static bool scan_word(struct scan *s, struct str word)
{
    if (!str_starts((struct str){ s->at, (size_t)(s->end - s->at) }, word))
        return bad(s, "unexpected character");
    s->at += word.len;
    return true;
}

/* what: depth, array or object. */
static bool over(struct scan *s, const char *what, int64_t limit, int64_t seen)
{
    s->limit = limit;
    s->seen = seen;
    return problem(s, ERR_INVALID_STRUCTURE, what);
}

static bool scan_object(struct scan *s, int64_t depth)
{
    int64_t count = 0;

    skip_space(s);
    if (next_is(s, '}'))
        return true;
    do {
        skip_space(s);
        if (!scan_string(s))
            return false;
        skip_space(s);
        if (!next_is(s, ':'))
            return bad(s, "expected ':'");
        if (!scan_value(s, depth + 1))
            return false;
        skip_space(s);
        s->members++;
        count++;
    } while (next_is(s, ','));
    if (!next_is(s, '}'))
        return bad(s, "expected ',' or '}'");
    return count <= s->limits->object_keys || over(s, "object", s->limits->object_keys, count);
}

static bool scan_array(struct scan *s, int64_t depth)
{
    int64_t count = 0;

    skip_space(s);
    if (next_is(s, ']'))
        return true;
    do {
        if (!scan_value(s, depth + 1))
            return false;
        skip_space(s);
        count++;
    } while (next_is(s, ','));
    if (!next_is(s, ']'))
        return bad(s, "expected ',' or ']'");
    return count <= s->limits->array_items || over(s, "array", s->limits->array_items, count);
}

static bool scan_value(struct scan *s, int64_t depth)
{
    skip_space(s);
    if (s->at >= s->end)
        return bad(s, "unexpected end");
    switch (*s->at) {
    case '{':
    case '[':
        if (depth > s->limits->depth)
            return over(s, "depth", s->limits->depth, depth);
        return *s->at++ == '{' ? scan_object(s, depth) : scan_array(s, depth);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, STR("true"));
    case 'f':
        return scan_word(s, STR("false"));
    case 'n':
        return scan_word(s, STR("null"));
    default:
        return scan_number(s);
    }
}

static size_t members_of(struct json_object *value)
{
    size_t count = 0;

    if (json_object_is_type(value, json_type_object)) {
        count = (size_t)json_object_object_length(value);
        json_object_object_foreach(value, key, child)
        {
            (void)key;
            count += members_of(child);
        }
    } else if (json_object_is_type(value, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(value); i++)
            count += members_of(json_object_array_get_idx(value, i));
    }
    return count;
}

/* The texts of http.md 4.2. */
static struct str structure_text(struct arena *arena, const struct scan *s)
{
    if (strcmp(s->problem, "depth") == 0)
        return arena_printf(arena, "JSON nesting depth exceeds limit of %lld", (long long)s->limit);
    return arena_printf(arena, "JSON %s has %lld %s (max %lld)", s->problem, (long long)s->seen,
                        strcmp(s->problem, "array") == 0 ? "items" : "keys", (long long)s->limit);
}

static enum result refuse_text(struct arena *arena, struct json_fault *fault, const struct scan *s)
{
    if (fault) {
        fault->at = (size_t)(s->at - s->from);
        fault->message =
            s->result == ERR_INVALID_STRUCTURE
                ? structure_text(arena, s)
                : arena_printf(arena, "Invalid JSON body: %s at byte %zu", s->problem, fault->at);
    }
    return s->result;
}

static unsigned unit_at(const char *at)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++)
        value = value * 16 + (unsigned)(at[i] <= '9' ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
    return value;
}

/* Escaped surrogate pairs as UTF-8: json-c 0.16 loses 8192 of those characters. The text has
 * passed the scan, so every \u has its digits and every high surrogate its low one. */
static struct str without_pairs(struct arena *arena, struct str text)
{
    char *out = arena_alloc(arena, text.len);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned high = 0;

        if (text.at[i] == '\\' && text.at[i + 1] == 'u')
            high = unit_at(text.at + i + 2);
        if (high >= 0xd800 && high <= 0xdbff) {
            unsigned code = 0x10000 + ((high - 0xd800) << 10) + (unit_at(text.at + i + 8) - 0xdc00);

            out[len++] = (char)(0xf0 | code >> 18);
            out[len++] = (char)(0x80 | (code >> 12 & 0x3f));
            out[len++] = (char)(0x80 | (code >> 6 & 0x3f));
            out[len++] = (char)(0x80 | (code & 0x3f));
            i += 11;
            continue;
        }
        out[len++] = text.at[i];
        if (text.at[i] == '\\') /* the escaped character may be a backslash itself */
            out[len++] = text.at[++i];
    }
    return (struct str){ out, len };
}

static void put_object(void *object)
{
    json_object_put(object);
}

enum result json_parse(struct json_object **out, struct arena *arena, struct str text,
                       const struct json_limits *limits, struct json_fault *fault)
{
    struct scan s = { .from = text.at,
                      .at = text.at,
                      .end = text.at + text.len,
                      .limits = limits,
                      .problem = "",
                      .result = OK };

    if (!str_is_text(text)) {
        bad(&s, "Invalid UTF-8 encoding in request body");
        return refuse_text(arena, fault, &s);
    }
    if (!scan_value(&s, 0))
        return refuse_text(arena, fault, &s);
    skip_space(&s);
    if (s.at != s.end) {
        bad(&s, "text after the value");
        return refuse_text(arena, fault, &s);
    }
    if (text.len > INT32_MAX)
        return ERR_BODY_TOO_LARGE;
    if (s.pairs)
        text = without_pairs(arena, text);

    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX + 1);
    if (!tokener)
        abort();
    struct json_object *value = json_tokener_parse_ex(tokener, text.at, (int)text.len);
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        value = json_tokener_parse_ex(tokener, "", 1); /* a bare number ends with the text */
    bool parsed = json_tokener_get_error(tokener) == json_tokener_success;
    json_tokener_free(tokener);
    if (parsed && members_of(value) != s.members) {
        json_object_put(value);
        parsed = false;
        bad(&s, "duplicate key");
    }
    if (!parsed) {
        if (s.result == OK)
            bad(&s, "not understood");
        return refuse_text(arena, fault, &s);
    }
    if (value)
        arena_defer(arena, put_object, value);
    *out = value;
    return OK;
}

bool json_get(struct json_object **out, struct json_object *object, const char *key)
{
    struct json_object *value;

    if (!json_object_is_type(object, json_type_object) ||
        !json_object_object_get_ex(object, key, &value) || !value)
        return false;
    *out = value;
    return true;
}

struct str json_str(struct json_object *value)
{
    if (!json_object_is_type(value, json_type_string))
        return STR_NONE;
    return (struct str){ json_object_get_string(value), (size_t)json_object_get_string_len(value) };
}

bool json_get_str(struct str *out, struct json_object *object, const char *key)
{
    struct json_object *value;

    if (!json_get(&value, object, key) || !json_object_is_type(value, json_type_string))
        return false;
    *out = json_str(value);
    return true;
}

bool json_get_bool(bool *out, struct json_object *object, const char *key)
{
    struct json_object *value;

    if (!json_get(&value, object, key) || !json_object_is_type(value, json_type_boolean))
        return false;
    *out = json_object_get_boolean(value);
    return true;
}

static void write_object(struct buf *out, struct json_object *value)
{
    buf_char(out, '{');
    json_object_object_foreach(value, key, child)
    {
        buf_json_key(out, str_from(key));
        json_write(out, child);
    }
    buf_char(out, '}');
}

void json_write(struct buf *out, struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_null:
        buf_str(out, STR("null"));
        break;
    case json_type_boolean:
        buf_str(out, json_object_get_boolean(value) ? STR("true") : STR("false"));
        break;
    case json_type_int:
        buf_json_int(out, json_object_get_int64(value));
        break;
    case json_type_double:
        buf_json_double(out, json_object_get_double(value));
        break;
    case json_type_string:
        buf_json_str(out, json_str(value));
        break;
    case json_type_array:
        buf_char(out, '[');
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            buf_json_comma(out);
            json_write(out, json_object_array_get_idx(value, i));
        }
        buf_char(out, ']');
        break;
    case json_type_object:
        write_object(out, value);
        break;
    }
}
