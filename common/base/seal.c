#include "common/base/seal.h"

#include "common/base/crypto.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#define NONCE_BYTES 12
#define TAG_BYTES   16

static void free_context(EVP_CIPHER_CTX **context)
{
    EVP_CIPHER_CTX_free(*context);
}

void seal_derive(struct seal_key *out, const struct seal_key *master, const char *purpose)
{
    unsigned len = sizeof(out->bytes);

    if (!HMAC(EVP_sha256(), master->bytes, sizeof(master->bytes), (const unsigned char *)purpose,
              strlen(purpose), out->bytes, &len))
        abort();
}

/* Only memory can run out here. */
static void must(int done)
{
    if (done != 1)
        abort();
}

struct bytes seal(struct arena *arena, const struct seal_key *key, struct str context,
                  struct bytes plain)
{
    CLEANUP(free_context) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    size_t len = NONCE_BYTES + plain.len + TAG_BYTES;
    unsigned char *out = arena_alloc(arena, len);
    int done;

    random_bytes(out, NONCE_BYTES);
    must(EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, out));
    must(EVP_EncryptUpdate(cipher, NULL, &done, (const unsigned char *)context.at,
                           (int)context.len));
    must(EVP_EncryptUpdate(cipher, out + NONCE_BYTES, &done, plain.at, (int)plain.len));
    must(EVP_EncryptFinal_ex(cipher, out + NONCE_BYTES + done, &done));
    must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + len - TAG_BYTES));
    return (struct bytes){ out, len };
}

enum result seal_open(struct bytes *out, struct arena *arena, const struct seal_key *key,
                      struct str context, struct bytes sealed)
{
    CLEANUP(free_context) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int done;

    if (sealed.len < NONCE_BYTES + TAG_BYTES)
        return ERR_KEY;
    size_t len = sealed.len - NONCE_BYTES - TAG_BYTES;
    unsigned char *plain = arena_alloc(arena, len + 1);
    unsigned char tag[TAG_BYTES];
    memcpy(tag, sealed.at + sealed.len - TAG_BYTES, TAG_BYTES);
    must(EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, key->bytes, sealed.at));
    must(EVP_DecryptUpdate(cipher, NULL, &done, (const unsigned char *)context.at,
                           (int)context.len));
    must(EVP_DecryptUpdate(cipher, plain, &done, sealed.at + NONCE_BYTES, (int)len));
    must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag));
    if (EVP_DecryptFinal_ex(cipher, plain + done, &done) != 1)
        return ERR_KEY;
    *out = (struct bytes){ plain, len };
    return OK;
}
