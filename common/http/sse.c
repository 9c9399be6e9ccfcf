#include "common/http/sse.h"

void lines_feed(struct lines *lines, struct str bytes)
{
    if (lines->from) {
        struct str rest = lines_rest(lines);

        memmove(lines->pending.at, rest.at, rest.len);
        lines->pending.len = rest.len;
        lines->from = 0;
    }
    buf_str(&lines->pending, bytes);
}

bool lines_next(struct str *line, struct lines *lines)
{
    struct str rest = lines_rest(lines);
    size_t end = lines->seen;

    if (lines->after_cr && rest.len) {
        lines->after_cr = false;
        if (rest.at[0] == '\n') {
            lines->from++;
            rest = lines_rest(lines);
        }
    }
    while (end < rest.len && rest.at[end] != '\n' && rest.at[end] != '\r')
        end++;
    lines->seen = end;
    if (end == rest.len)
        return false;
    lines->seen = 0;
    lines->after_cr = rest.at[end] == '\r';
    lines->from += end + 1;
    *line = str_slice(rest, 0, end);
    return true;
}

struct str lines_rest(const struct lines *lines)
{
    return str_slice(buf_view(&lines->pending), lines->from, lines->pending.len);
}

void lines_free(struct lines *lines)
{
    buf_free(&lines->pending);
    *lines = (struct lines){ 0 };
}

void sse_feed(struct sse *sse, struct str bytes)
{
    lines_feed(&sse->lines, bytes);
}

static void take_line(struct sse *sse, struct str line)
{
    struct str value = line, name;

    if (!str_split(&name, &value, ':') || !str_is(name, "data"))
        return;
    if (value.len && value.at[0] == ' ')
        value = str_slice(value, 1, value.len);
    if (sse->any)
        buf_char(&sse->data, '\n');
    buf_str(&sse->data, value);
    sse->any = true;
}

bool sse_next(struct str *data, struct sse *sse)
{
    struct str line;

    if (!sse->any)
        buf_clear(&sse->data); /* of the event that was returned last */
    while (lines_next(&line, &sse->lines)) {
        if (line.len) {
            take_line(sse, line);
            continue;
        }
        if (!sse->any)
            continue;
        sse->any = false;
        *data = buf_view(&sse->data);
        return true;
    }
    return false;
}

void sse_free(struct sse *sse)
{
    lines_free(&sse->lines);
    buf_free(&sse->data);
    *sse = (struct sse){ 0 };
}
