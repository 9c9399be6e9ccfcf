/* peer.h - which user owns the socket at the other end of a loopback connection.
 *
 * Both ends are needed: an address and port alone may stand for several sockets, of several
 * users. Who cannot be told with certainty is not told at all. */
#ifndef ARAGORA_PEER_H
#define ARAGORA_PEER_H

#include "common/base/base.h"

#include <sys/types.h>

/* A TCP connection as the server knows it; addresses as numbers, IPv4, IPv6 or IPv4-mapped. */
struct peer {
    struct str address, server_address;
    int64_t port, server_port;
};

/* ERR_NOT_FOUND: the peer is not on loopback, or no process holds its end of an established
 * connection. ERR_SYSTEM: the system does not tell. */
MUST_USE enum result peer_uid(uid_t *out, const struct peer *peer);

/* The two sources of peer_uid(): the kernel's answer for one socket (sock_diag(7)), and its table
 * of all, for systems without the first. */
MUST_USE enum result peer_uid_asked(uid_t *out, const struct peer *peer);
MUST_USE enum result peer_uid_listed(uid_t *out, const struct peer *peer);

#endif
