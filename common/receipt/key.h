/* key.h - the Ed25519 keys that sign receipts, and those that check them (RFC 8032).
 *
 * The private half is a PEM file (PKCS #8, not encrypted) of mode 0600. The public half is a
 * plain value: copy it freely. */
#ifndef ARAGORA_KEY_H
#define ARAGORA_KEY_H

#include "common/base/arena.h"

#define PUBLIC_KEY_BYTES 32
#define SIGNATURE_BYTES  64
#define KEY_ID_PREFIX    "ed25519-"
#define KEY_ID_DIGITS    16
#define KEY_ID_TEXT      (sizeof(KEY_ID_PREFIX) + KEY_ID_DIGITS) /* NUL included */

struct receipt_public_key {
    unsigned char raw[PUBLIC_KEY_BYTES];
    char key_id[KEY_ID_TEXT]; /* KEY_ID_PREFIX, then the head of SHA-256(raw) in hexadecimal */
};

bool is_key_id(struct str text);

/* PEM as SubjectPublicKeyInfo; text around it is skipped. ERR_KEY: no PEM, or not Ed25519. */
MUST_USE enum result receipt_public_key_parse(struct receipt_public_key *out, struct str pem);
/* *out lives in the arena. */
struct str receipt_public_key_pem(struct arena *arena, const struct receipt_public_key *key);
/* ERR_SIGNATURE: this key did not sign this message. */
MUST_USE enum result receipt_public_key_verify(const struct receipt_public_key *key,
                                               struct str message,
                                               const unsigned char signature[SIGNATURE_BYTES]);
/* Base64 has several texts for the same bytes; only the one that we write is accepted. */
MUST_USE bool receipt_signature_parse(unsigned char out[SIGNATURE_BYTES], struct arena *arena,
                                      struct str base64);

struct receipt_key;

/* Reads the file. With create, a missing one is made first (0600, its directory 0700 if that is
 * missing too); of several makers one wins and all get its key. *out lives in the arena, is never
 * written to, and serves all threads. ERR_KEY: missing, or not an Ed25519 private key.
 * ERR_SYSTEM: unreadable or unwritable. */
MUST_USE enum result receipt_key_open(struct receipt_key **out, struct arena *arena,
                                      struct str path, bool create);
/* A new pair, in memory. *out lives in the arena. ERR_KEY: OpenSSL would not. */
MUST_USE enum result receipt_key_new(struct receipt_key **out, struct arena *arena);
/* Into a file of its own, durable on return. ERR_ALREADY_EXISTS, ERR_SYSTEM. */
MUST_USE enum result receipt_key_store(struct arena *arena, const struct receipt_key *key,
                                       struct str path);
/* Borrowed from the key. */
const struct receipt_public_key *receipt_key_public(const struct receipt_key *key);
/* ERR_KEY: OpenSSL would not sign. */
MUST_USE enum result receipt_key_sign(unsigned char out[SIGNATURE_BYTES],
                                      const struct receipt_key *key, struct str message);

#endif
