#include "common/base/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

/* EVP_sha256() looks its provider up at each use; fetched once it costs a third. */
static EVP_MD *sha256_md;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256_md)
        abort();
}

void sha256(unsigned char out[SHA256_BYTES], const void *at, size_t len)
{
    pthread_once(&sha256_once, fetch_sha256);
    if (EVP_Digest(at, len, out, NULL, sha256_md, NULL) != 1)
        abort();
}

struct str sha256_hex(struct arena *arena, struct str text)
{
    unsigned char digest[SHA256_BYTES];
    char *out = arena_alloc(arena, SHA256_HEX + 1);

    sha256(digest, text.at ? text.at : "", text.len);
    hex_text(out, digest, sizeof(digest));
    return (struct str){ out, SHA256_HEX };
}

void random_bytes(void *out, size_t len)
{
    unsigned char *at = out;

    while (len) {
        ssize_t got = getrandom(at, len, 0);

        if (got < 0)
            abort();
        at += got;
        len -= (size_t)got;
    }
}

void hex_text(char *out, const void *at, size_t len)
{
    const unsigned char *bytes = at;

    for (size_t i = 0; i < len; i++) {
        out[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool hex_bytes(unsigned char *out, size_t len, struct str hex)
{
    if (hex.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(hex.at[2 * i]), low = hex_digit(hex.at[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static struct str base64(struct arena *arena, const void *at, size_t len, const char *alphabet,
                         bool padded)
{
    const unsigned char *bytes = at;
    char *out = arena_alloc(arena, (len + 2) / 3 * 4 + 1), *end = out;

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned value = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                         (left > 2 ? bytes[i + 2] : 0);

        for (size_t digit = 0; digit < 4; digit++) {
            if (digit <= left)
                *end++ = alphabet[value >> (18 - 6 * digit) & 63];
            else if (padded)
                *end++ = '=';
        }
    }
    return (struct str){ out, (size_t)(end - out) };
}

struct str base64_text(struct arena *arena, const void *at, size_t len)
{
    return base64(arena, at, len,
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

struct str base64url_text(struct arena *arena, const void *at, size_t len)
{
    return base64(arena, at, len,
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

bool base64_bytes(struct bytes *out, struct arena *arena, struct str text)
{
    unsigned char *bytes = arena_alloc(arena, text.len / 4 * 3 + 3);
    size_t len = 0;
    unsigned value = 0;
    int bits = 0;

    while (text.len && text.at[text.len - 1] == '=')
        text.len--;
    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.at[i]);

        if (digit < 0)
            return false;
        value = value << 6 | (unsigned)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[len++] = (unsigned char)(value >> bits);
        }
    }
    *out = (struct bytes){ bytes, len };
    return true;
}

bool secret_eq(struct str a, struct str b)
{
    return a.len == b.len && CRYPTO_memcmp(a.at ? a.at : "", b.at ? b.at : "", a.len) == 0;
}
