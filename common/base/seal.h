/* seal.h - bytes that only the holder of a key reads or can have written: AES-256-GCM. */
#ifndef ARAGORA_SEAL_H
#define ARAGORA_SEAL_H

#include "common/base/arena.h"

#define SEAL_KEY_BYTES 32

struct seal_key {
    unsigned char bytes[SEAL_KEY_BYTES];
};

/* A key for one purpose, from which the master key cannot be told (HMAC-SHA256). */
void seal_derive(struct seal_key *out, const struct seal_key *master, const char *purpose);

/* nonce, ciphertext, tag; lives in the arena. context: what the bytes belong to; they open only
 * with the same, so that a row's cannot be put into another. */
struct bytes seal(struct arena *arena, const struct seal_key *key, struct str context,
                  struct bytes plain);
/* *out lives in the arena. ERR_KEY: another key or context, or the bytes were changed. */
MUST_USE enum result seal_open(struct bytes *out, struct arena *arena, const struct seal_key *key,
                               struct str context, struct bytes sealed);

#endif
