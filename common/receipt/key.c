/* key.c - Ed25519 over OpenSSL 3.
 *
 * Ed25519 hashes for itself, so OpenSSL signs in one shot and takes no digest. Its error queue is
 * per thread and would speak up in the next caller's failure: each failure here empties it. */
#include "common/receipt/key.h"

#include "common/base/crypto.h"
#include "common/base/file.h"
#include "common/receipt/shape.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define KEY_FILE_MAX 16384 /* bytes; one key has 119 */

struct receipt_key {
    EVP_PKEY *pair;
    struct receipt_public_key public;
};

static void free_pkey(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
}

static void free_context(EVP_MD_CTX **context)
{
    EVP_MD_CTX_free(*context);
}

static void free_bio(BIO **bio)
{
    BIO_free(*bio);
}

static enum result refuse(enum result result)
{
    ERR_clear_error();
    return result;
}

/* Without it OpenSSL would ask on the terminal for the passphrase of an encrypted file. */
static int no_passphrase(char *out, int size, int writing, void *context)
{
    (void)out, (void)size, (void)writing, (void)context;
    return -1;
}

static BIO *bio_over(struct str text)
{
    BIO *bio = BIO_new_mem_buf(text.at ? text.at : "", (int)text.len);

    if (!bio)
        abort();
    return bio;
}

bool is_key_id(struct str text)
{
    struct str prefix = STR(KEY_ID_PREFIX);

    return str_starts(text, prefix) &&
           is_lower_hex(str_slice(text, prefix.len, text.len), KEY_ID_DIGITS);
}

static bool public_key_fill(struct receipt_public_key *out, const EVP_PKEY *pkey)
{
    size_t len = sizeof(out->raw);
    unsigned char digest[SHA256_BYTES];

    if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(pkey, out->raw, &len) != 1 || len != sizeof(out->raw))
        return false;
    sha256(digest, out->raw, sizeof(out->raw));
    memcpy(out->key_id, KEY_ID_PREFIX, sizeof(KEY_ID_PREFIX));
    hex_text(out->key_id + sizeof(KEY_ID_PREFIX) - 1, digest, KEY_ID_DIGITS / 2);
    out->key_id[KEY_ID_TEXT - 1] = '\0';
    return true;
}

enum result receipt_public_key_parse(struct receipt_public_key *out, struct str pem)
{
    struct receipt_public_key key;

    if (pem.len > KEY_FILE_MAX)
        return ERR_KEY;
    CLEANUP(free_bio) BIO *bio = bio_over(pem);
    CLEANUP(free_pkey) EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    if (!pkey || !public_key_fill(&key, pkey))
        return refuse(ERR_KEY);
    *out = key;
    return OK;
}

/* NULL, if the bytes are no point of the curve to OpenSSL. */
static EVP_PKEY *public_pkey(const struct receipt_public_key *key)
{
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->raw, sizeof(key->raw));
}

static struct str bio_text(struct arena *arena, BIO *bio)
{
    char *at = NULL;
    long len = BIO_get_mem_data(bio, &at);

    return arena_str(arena, (struct str){ at, (size_t)len });
}

struct str receipt_public_key_pem(struct arena *arena, const struct receipt_public_key *key)
{
    CLEANUP(free_pkey) EVP_PKEY *pkey = public_pkey(key);
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_mem());

    if (!pkey || !bio || PEM_write_bio_PUBKEY(bio, pkey) != 1)
        abort(); /* any 32 bytes have this form: out of memory */
    return bio_text(arena, bio);
}

enum result receipt_public_key_verify(const struct receipt_public_key *key, struct str message,
                                      const unsigned char signature[SIGNATURE_BYTES])
{
    CLEANUP(free_pkey) EVP_PKEY *pkey = public_pkey(key);
    CLEANUP(free_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
    const char *at = message.at ? message.at : "";

    if (!pkey || !context || EVP_DigestVerifyInit(context, NULL, NULL, NULL, pkey) != 1 ||
        EVP_DigestVerify(context, signature, SIGNATURE_BYTES, (const unsigned char *)at,
                         message.len) != 1)
        return refuse(ERR_SIGNATURE);
    return OK;
}

bool receipt_signature_parse(unsigned char out[SIGNATURE_BYTES], struct arena *arena,
                             struct str base64)
{
    struct bytes raw;

    if (!base64_bytes(&raw, arena, base64) || raw.len != SIGNATURE_BYTES ||
        !str_eq(base64_text(arena, raw.at, raw.len), base64))
        return false;
    memcpy(out, raw.at, raw.len);
    return true;
}

static void key_free(void *object)
{
    struct receipt_key *key = object;

    EVP_PKEY_free(key->pair);
}

/* Takes the pair. */
static enum result key_from(struct receipt_key **out, struct arena *arena, EVP_PKEY *pair)
{
    struct receipt_key *key = arena_alloc(arena, sizeof(*key));

    if (!pair || !public_key_fill(&key->public, pair)) {
        EVP_PKEY_free(pair);
        return refuse(ERR_KEY);
    }
    key->pair = pair;
    arena_defer(arena, key_free, key);
    *out = key;
    return OK;
}

static enum result key_load(struct receipt_key **out, struct arena *arena, struct str path)
{
    struct str pem;

    TRY(file_read(&pem, arena, path, KEY_FILE_MAX));
    CLEANUP(free_bio) BIO *bio = bio_over(pem);
    EVP_PKEY *pair = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    OPENSSL_cleanse((void *)pem.at, pem.len); /* ours alone: file_read() made it */
    return key_from(out, arena, pair);
}

enum result receipt_key_new(struct receipt_key **out, struct arena *arena)
{
    return key_from(out, arena, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
}

enum result receipt_key_store(struct arena *arena, const struct receipt_key *key, struct str path)
{
    CLEANUP(free_bio) BIO *bio = BIO_new(BIO_s_secmem()); /* cleansed when freed */
    size_t folder = path.len;
    char *at = NULL;

    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pair, NULL, NULL, 0, NULL, NULL) != 1)
        return refuse(ERR_KEY);
    while (folder && path.at[folder - 1] != '/')
        folder--;
    if (folder > 1)
        TRY(directory_make(arena, str_slice(path, 0, folder - 1), 0700));
    long len = BIO_get_mem_data(bio, &at);
    return file_create(arena, path, (struct str){ at, (size_t)len }, 0600);
}

/* Leaves the key in the file only, so that whoever lost the race reads the winner's. */
static enum result key_create(struct arena *arena, struct str path)
{
    struct receipt_key *key;

    TRY(receipt_key_new(&key, arena));
    enum result result = receipt_key_store(arena, key, path);
    return result == ERR_ALREADY_EXISTS ? OK : result;
}

enum result receipt_key_open(struct receipt_key **out, struct arena *arena, struct str path,
                             bool create)
{
    enum result result = key_load(out, arena, path);

    if (result == ERR_NOT_FOUND && create) {
        TRY(key_create(arena, path));
        result = key_load(out, arena, path);
    }
    return result == ERR_NOT_FOUND ? ERR_KEY : result;
}

const struct receipt_public_key *receipt_key_public(const struct receipt_key *key)
{
    return &key->public;
}

enum result receipt_key_sign(unsigned char out[SIGNATURE_BYTES], const struct receipt_key *key,
                             struct str message)
{
    CLEANUP(free_context) EVP_MD_CTX *context = EVP_MD_CTX_new();
    const char *at = message.at ? message.at : "";
    unsigned char signature[SIGNATURE_BYTES];
    size_t len = sizeof(signature);

    if (!context || EVP_DigestSignInit(context, NULL, NULL, NULL, key->pair) != 1 ||
        EVP_DigestSign(context, signature, &len, (const unsigned char *)at, message.len) != 1 ||
        len != sizeof(signature))
        return refuse(ERR_KEY);
    memcpy(out, signature, sizeof(signature));
    return OK;
}
