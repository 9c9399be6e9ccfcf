/* id.h - identifiers: UUIDv7 (RFC 9562 5.7), which sort by time. */
#ifndef ARAGORA_ID_H
#define ARAGORA_ID_H

#include "common/base/arena.h"

#define UUID_TEXT 36
#define UUID_HEX  32

/* 8-4-4-4-12 hexadecimal digits. */
struct str id_uuid(struct arena *arena);
/* prefix and the 32 digits without dashes. */
struct str id_new(struct arena *arena, const char *prefix);
/* prefix and n random hexadecimal digits, an even number. */
struct str id_random(struct arena *arena, const char *prefix, size_t n);
/* The same from n / 2 random bytes of the caller's. */
struct str id_hex(struct arena *arena, const char *prefix, const unsigned char *random, size_t n);

#endif
