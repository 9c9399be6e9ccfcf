#include "common/base/id.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"

#include <stdlib.h>

static void uuid7(unsigned char out[16])
{
    uint64_t ms = (uint64_t)(utc_now().us / US_PER_MS);

    random_bytes(out + 6, 10);
    for (int i = 0; i < 6; i++)
        out[i] = (unsigned char)(ms >> (40 - 8 * i));
    out[6] = (unsigned char)((out[6] & 0x0f) | 0x70);
    out[8] = (unsigned char)((out[8] & 0x3f) | 0x80);
}

struct str id_uuid(struct arena *arena)
{
    static const size_t groups[] = { 4, 2, 2, 2, 6 };
    unsigned char bytes[16];
    char *out = arena_alloc(arena, UUID_TEXT + 1), *at = out;
    const unsigned char *from = bytes;

    uuid7(bytes);
    for (size_t i = 0; i < COUNT(groups); i++) {
        if (i)
            *at++ = '-';
        hex_text(at, from, groups[i]);
        at += 2 * groups[i];
        from += groups[i];
    }
    return (struct str){ out, UUID_TEXT };
}

struct str id_new(struct arena *arena, const char *prefix)
{
    unsigned char bytes[UUID_HEX / 2];

    uuid7(bytes);
    return id_hex(arena, prefix, bytes, UUID_HEX);
}

struct str id_hex(struct arena *arena, const char *prefix, const unsigned char *random, size_t n)
{
    struct str start = str_from(prefix);
    char *out = arena_alloc(arena, start.len + n + 1);

    memcpy(out, start.at, start.len);
    hex_text(out + start.len, random, n / 2);
    return (struct str){ out, start.len + n };
}

struct str id_random(struct arena *arena, const char *prefix, size_t n)
{
    unsigned char bytes[32];

    if (n % 2 || n / 2 > sizeof(bytes))
        abort();
    random_bytes(bytes, n / 2);
    return id_hex(arena, prefix, bytes, n);
}
