#include "fcgi/path.h"

#include "common/base/crypto.h"

static struct str before_query(struct str uri)
{
    for (size_t i = 0; i < uri.len; i++)
        if (uri.at[i] == '?' || uri.at[i] == '#')
            return str_slice(uri, 0, i);
    return uri;
}

/* An encoded slash would change the segments; an encoded control byte is cut off, replaced or
 * passed on, as each server likes. */
static bool hides_a_byte(struct str raw)
{
    unsigned char byte;

    for (size_t i = 0; i < raw.len; i++)
        if (raw.at[i] == '%' && hex_bytes(&byte, 1, str_slice(raw, i + 1, i + 3)) &&
            (byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\'))
            return true;
    return false;
}

/* "." or "..", each dot plain or as %2e: a server may resolve both before we see the path. */
static bool is_dots(struct str segment)
{
    size_t dots = 0;

    while (segment.len) {
        bool escaped = str_eq_nocase(str_slice(segment, 0, 3), STR("%2e"));

        if (!escaped && segment.at[0] != '.')
            return false;
        segment = str_slice(segment, escaped ? 3 : 1, segment.len);
        dots++;
    }
    return dots == 1 || dots == 2;
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
