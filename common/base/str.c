/* str.c - borrowed strings: compare, search, convert. */
#include "common/base/base.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

struct str str_from(const char *terminated)
{
    return terminated ? (struct str){ terminated, strlen(terminated) } : STR_NONE;
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c | 0x20);
    return c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    return true;
}

bool str_is(struct str s, const char *terminated)
{
    return str_eq(s, str_from(terminated));
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq((struct str){ s.at, prefix.len }, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           str_eq((struct str){ s.at + (s.len - suffix.len), suffix.len }, suffix);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.len && is_space(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len && is_space(s.at[s.len - 1]))
        s.len--;
    return s;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    if (to > s.len)
        to = s.len;
    if (from > to)
        from = to;
    return (struct str){ s.at ? s.at + from : NULL, to - from };
}

bool str_find(size_t *out, struct str s, struct str needle)
{
    if (needle.len == 0) {
        *out = 0;
        return true;
    }
    const char *hit = s.len ? memmem(s.at, s.len, needle.at, needle.len) : NULL;
    if (!hit)
        return false;
    *out = (size_t)(hit - s.at);
    return true;
}

bool str_split(struct str *part, struct str *rest, char sep)
{
    if (!rest->at)
        return false;
    const char *hit = rest->len ? memchr(rest->at, sep, rest->len) : NULL;
    if (!hit) {
        *part = *rest;
        *rest = STR_NONE;
        return true;
    }
    *part = (struct str){ rest->at, (size_t)(hit - rest->at) };
    *rest = str_slice(*rest, part->len + 1, rest->len);
    return true;
}

uint64_t str_hash(struct str s)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < s.len; i++)
        hash = (hash ^ (unsigned char)s.at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

bool str_int(int64_t *out, struct str s, int64_t min, int64_t max)
{
    bool negative = s.len && s.at[0] == '-';
    int64_t value = 0;

    if (negative || (s.len && s.at[0] == '+'))
        s = str_slice(s, 1, s.len);
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] < '0' || s.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, INT64_C(10), &value) ||
            (negative ? __builtin_sub_overflow(value, (int64_t)(s.at[i] - '0'), &value)
                      : __builtin_add_overflow(value, (int64_t)(s.at[i] - '0'), &value)))
            return false;
    }
    if (value < min || value > max)
        return false;
    *out = value;
    return true;
}

bool str_double(double *out, struct str s)
{
    char text[64];
    char *end;
    double value;

    /* strtod() also takes hexadecimal, "inf", "nan" and leading white space. */
    if (s.len == 0 || s.len >= sizeof(text))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!strchr("0123456789+-.eE", s.at[i]) || s.at[i] == '\0')
            return false;
    memcpy(text, s.at, s.len);
    text[s.len] = '\0';
    value = strtod(text, &end);
    if (*end != '\0' || !isfinite(value))
        return false;
    *out = value;
    return true;
}

bool str_bool(bool *out, struct str s)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        { "1", true },  { "true", true },   { "yes", true }, { "on", true },
        { "0", false }, { "false", false }, { "no", false }, { "off", false },
    };

    for (size_t i = 0; i < COUNT(words); i++) {
        if (str_eq_nocase(s, str_from(words[i].word))) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

/* Bytes of the character at s, 0 if it is not well-formed. */
static size_t utf8_length(struct str s)
{
    const unsigned char *at = (const unsigned char *)s.at;
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

    if (len == 1)
        return at[0] ? 1 : 0;
    if (len == 0 || len > s.len || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
        (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return len;
}

bool str_is_text(struct str s)
{
    while (s.len) {
        size_t len = utf8_length(s);

        if (len == 0)
            return false;
        s = str_slice(s, len, s.len);
    }
    return true;
}

size_t str_characters(struct str utf8)
{
    size_t count = 0;

    for (size_t i = 0; i < utf8.len; i++)
        count += ((unsigned char)utf8.at[i] & 0xc0) != 0x80;
    return count;
}

struct str str_cut(struct str utf8, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < utf8.len; i++) {
        count += ((unsigned char)utf8.at[i] & 0xc0) != 0x80;
        if (count > max)
            return str_slice(utf8, 0, i);
    }
    return utf8;
}
