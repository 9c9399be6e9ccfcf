/* address.h - which network addresses a request may go to. */
#ifndef ARAGORA_HTTP_ADDRESS_H
#define ARAGORA_HTTP_ADDRESS_H

#include "common/base/base.h"

#include <sys/socket.h>

/* A globally reachable unicast address (IANA special-purpose registries): not loopback, private,
 * link-local, multicast, nor one that carries such an address inside (IPv4-mapped, 6to4). */
bool address_is_public(const struct sockaddr *address);
bool address_is_loopback(const struct sockaddr *address);

#endif
