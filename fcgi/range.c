#include "fcgi/range.h"

/* Digits alone; one that no file reaches counts as the greatest. */
static bool read_offset(int64_t *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    if (!str_int(out, text, 0, INT64_MAX))
        *out = INT64_MAX;
    return text.len > 0;
}

/* "-500": the last 500 bytes. */
static enum result read_suffix(struct range *out, struct str text, int64_t size)
{
    int64_t count;

    if (!read_offset(&count, text))
        count = size;
    else if (count == 0 || size == 0)
        return ERR_RANGE;
    if (count > size)
        count = size;
    *out = (struct range){ size - count, count };
    return OK;
}

enum result range_read(struct range *out, struct str header, int64_t size)
{
    const struct str unit = STR("bytes=");
    struct str rest = str_slice(header, unit.len, header.len), part = STR_NONE;
    int64_t first = 0, last = INT64_MAX;

    bool split = str_starts(header, unit) && str_split(&part, &rest, '-') && rest.at;
    if (split && !part.len)
        return read_suffix(out, rest, size);
    if (!split || !read_offset(&first, part) || (rest.len && !read_offset(&last, rest)) ||
        last < first) {
        *out = (struct range){ 0, size };
        return OK;
    }
    if (first >= size)
        return ERR_RANGE;
    if (last >= size)
        last = size - 1;
    *out = (struct range){ first, last - first + 1 };
    return OK;
}
