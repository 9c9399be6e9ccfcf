#include "cli/terminal.h"

struct str terminal_line(struct arena *arena, struct str text)
{
    char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.at[i + 1] < 0xa0;

        if (c == '\n' || c == '\t' || c == '\r')
            out[len++] = ' ';
        else if (c1)
            i++;
        else if (c >= 0x20 && c != 0x7f)
            out[len++] = (char)c;
    }
    return (struct str){ out, len };
}
