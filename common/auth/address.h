/* address.h - whose address a request comes from, behind proxies (http.md 8). */
#ifndef ARAGORA_ADDRESS_H
#define ARAGORA_ADDRESS_H

#include "common/base/arena.h"

/* Does the setting name this address, or a network that holds it, as a proxy of ours? */
bool proxy_trusted(struct str address);
/* peer, or, if it is a proxy of ours, the last item of X-Forwarded-For that is none: what stands
 * left of it is the client's own word. Borrowed from the arguments, without a port. */
struct str forwarded_address(struct str peer, struct str forwarded_for);
/* Who counts as one client of a limit: an IPv4 address, or an IPv6 network of 64 bits, which is the
 * least that a customer gets. What is no address stands for itself. */
struct str address_group(struct arena *arena, struct str address);

#endif
