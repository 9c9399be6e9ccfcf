/* crypto.h - hashes, random bytes, text forms of bytes; over OpenSSL. */
#ifndef ARAGORA_CRYPTO_H
#define ARAGORA_CRYPTO_H

#include "common/base/arena.h"

#define SHA256_BYTES 32
#define SHA256_HEX   64

void sha256(unsigned char out[SHA256_BYTES], const void *at, size_t len);
/* Lower-case hexadecimal; *out lives in the arena. */
struct str sha256_hex(struct arena *arena, struct str text);

void random_bytes(void *out, size_t len); /* aborts if the system has none */

void hex_text(char *out, const void *at, size_t len); /* writes 2 * len, no NUL */
MUST_USE bool hex_bytes(unsigned char *out, size_t len, struct str hex);    /* exactly len bytes */
struct str base64_text(struct arena *arena, const void *at, size_t len);    /* RFC 4648 4 */
struct str base64url_text(struct arena *arena, const void *at, size_t len); /* 5, no padding */
/* Either alphabet, padding optional. *out lives in the arena. */
MUST_USE bool base64_bytes(struct bytes *out, struct arena *arena, struct str text);

/* In time that depends on the lengths only. */
bool secret_eq(struct str a, struct str b);

#endif
