#include "common/base/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

/* Nobody is there who could type it: a key under a passphrase is refused, not asked about. */
static int no_passphrase(char *out UNUSED, int size UNUSED, int writing UNUSED, void *arg)
{
    *(bool *)arg = true;
    return -1;
}

/* Modern defaults. A moving buffer: what is written again may stand elsewhere, the same bytes. */
static SSL_CTX *context_new(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, TLS_CIPHERS) != 1 || SSL_CTX_set_dh_auto(context, 1) != 1)
        abort();
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

/* STR_NONE: it can be read. */
static struct str unreadable(struct arena *arena, const char *path)
{
    return access(path, R_OK) == 0 ? STR_NONE
                                   : arena_printf(arena, "%s: %s", path, strerror(errno));
}

/* What is wrong with the two files; STR_NONE: nothing, and the context holds them. */
static struct str take_files(SSL_CTX *context, struct arena *arena, const char *certificate,
                             const char *key)
{
    bool locked = false;
    struct str problem = unreadable(arena, certificate);

    if (!problem.at)
        problem = unreadable(arena, key);
    if (problem.at)
        return problem;
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(context, &locked);
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        return arena_printf(arena, "%s: holds no PEM certificate that can be used", certificate);
    ERR_clear_error();
    int taken = SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (locked)
        return arena_printf(arena, "%s: is under a passphrase; give a key without one", key);
    if (taken != 1 && ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
        return arena_printf(arena, "%s: is not the key of the certificate in %s", key, certificate);
    if (taken != 1)
        return arena_printf(arena, "%s: holds no PEM private key that can be used", key);
    if (SSL_CTX_check_private_key(context) != 1)
        return arena_printf(arena, "%s: is not the key of the certificate in %s", key, certificate);
    return STR_NONE;
}

enum result tls_server_open(SSL_CTX **out, struct arena *arena, const char *certificate,
                            const char *key, struct str *problem)
{
    SSL_CTX *context = context_new();
    struct str found = take_files(context, arena, certificate, key);

    ERR_clear_error();
    if (found.at) {
        SSL_CTX_free(context);
        *problem = found;
        return ERR_SETTING;
    }
    *out = context;
    return OK;
}

/* "2026-06-01 12:00:00 UTC" */
static struct str time_text(struct arena *arena, const ASN1_TIME *time)
{
    struct tm parts;

    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return STR("a time that cannot be read");
    return arena_printf(arena, "%04d-%02d-%02d %02d:%02d:%02d UTC", parts.tm_year + 1900,
                        parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

struct str tls_server_warning(SSL_CTX *context, struct arena *arena)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context);

    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
        return arena_printf(arena, "the certificate has expired on " STR_FMT,
                            STR_ARG(time_text(arena, X509_get0_notAfter(certificate))));
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return arena_printf(arena, "the certificate is not valid before " STR_FMT,
                            STR_ARG(time_text(arena, X509_get0_notBefore(certificate))));
    return STR_NONE;
}
