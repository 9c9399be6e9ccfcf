/* transport.h - the bytes of one connection, in the clear or under TLS. Nothing here waits. */
#ifndef ARAGORA_STREAMD_TRANSPORT_H
#define ARAGORA_STREAMD_TRANSPORT_H

#include "common/base/base.h"

#include <openssl/ssl.h>
#include <sys/uio.h>

struct transport {
    int fd;
    SSL *tls; /* NULL: in the clear */
    /* Under TLS: */
    bool read_wants_room; /* reading goes on when the socket can be written */
    bool failed;
    char *unsent; /* taken by transport_writev(), for which the socket had no room */
    size_t unsent_bytes;
};

/* Takes the connected socket. context: NULL for none of TLS; the handshake comes with the first
 * bytes that are read. */
void transport_open(struct transport *out, int fd, SSL_CTX *context);
void transport_close(struct transport *transport);

/* As recv(2) and writev(2) of a socket that does not block. */
ssize_t transport_read(struct transport *transport, void *out, size_t size);
ssize_t transport_writev(struct transport *transport, const struct iovec *parts, int count);

/* transport_writev() took something that is not sent: call it again, with count 0 if there is
 * nothing more. */
bool transport_owes(const struct transport *transport);

/* Nothing more will be written; all that was is on its way. */
void transport_shutdown(struct transport *transport);

#endif
