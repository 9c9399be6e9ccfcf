/* tls.h - a server's certificate and key, checked, and the rules of its connections.
 *
 * TLS 1.2 at least, ciphers with forward secrecy and authenticated encryption, no renegotiation.
 * The web servers that aragora serve starts are configured with the same. */
#ifndef ARAGORA_TLS_H
#define ARAGORA_TLS_H

#include "common/base/arena.h"

#include <openssl/ssl.h>

#define TLS_CIPHERS "ECDHE+AESGCM:DHE+AESGCM:ECDHE+CHACHA20:DHE+CHACHA20" /* of TLS 1.2 */

/* PEM files: the certificate with those between it and the authority behind it, and its key,
 * without a passphrase. *out is the caller's, for SSL_CTX_free(). ERR_SETTING: *problem says
 * which file, and what about it; in the arena. */
MUST_USE enum result tls_server_open(SSL_CTX **out, struct arena *arena, const char *certificate,
                                     const char *key, struct str *problem);

/* What clients will complain of: it has expired, or is not valid yet. STR_NONE: nothing. */
struct str tls_server_warning(SSL_CTX *context, struct arena *arena);

#endif
