#include "fcgi/path.h"

static struct str before_query(struct str uri)
{
    for (size_t i = 0; i < uri.len; i++)
        if (uri.at[i] == '?' || uri.at[i] == '#')
            return str_slice(uri, 0, i);
    return uri;
}

/* %2F would change the segments, %00 the length; %2e%2e is seen after decoding. */
static bool hides_a_byte(struct str raw)
{
    for (size_t i = 0; i + 2 < raw.len; i++) {
        struct str escape = str_slice(raw, i, i + 3);

        if (str_eq_nocase(escape, STR("%2f")) || str_eq(escape, STR("%00")) ||
            str_eq_nocase(escape, STR("%5c")))
            return true;
    }
    return false;
}

static bool is_dots(struct str segment)
{
    return str_is(segment, ".") || str_is(segment, "..");
}

/* The server resolves ".." before it decodes the path; REQUEST_URI still has it. */
static bool climbs(struct str raw)
{
    struct str rest = raw, segment;

    while (str_split(&segment, &rest, '/'))
        if (is_dots(segment))
            return true;
    return false;
}

enum result path_normalise(struct str *out, struct arena *arena, struct str decoded,
                           struct str raw_uri)
{
    struct str raw = before_query(raw_uri), rest = decoded, segment;

    if (!str_is_text(decoded) || hides_a_byte(raw) || climbs(raw))
        return ERR_INVALID_PATH;
    for (size_t i = 0; i < decoded.len; i++)
        if ((unsigned char)decoded.at[i] < 0x20 || decoded.at[i] == 0x7f)
            return ERR_INVALID_PATH;
    char *at = arena_alloc(arena, decoded.len + 2);
    size_t len = 0;
    while (str_split(&segment, &rest, '/')) {
        if (segment.len == 0)
            continue;
        if (is_dots(segment))
            return ERR_INVALID_PATH;
        at[len++] = '/';
        memcpy(at + len, segment.at, segment.len);
        len += segment.len;
    }
    if (len == 0)
        at[len++] = '/';
    *out = (struct str){ at, len };
    return OK;
}
