/* network.h - addresses and networks as numbers: "10.0.0.0/8", "fd00::/8", "192.0.2.1". */
#ifndef ARAGORA_NETWORK_H
#define ARAGORA_NETWORK_H

#include "common/base/base.h"

#define ADDRESS_BYTES 16

/* An IPv4 address is held as ::ffff:a.b.c.d, so both forms of it are the same. */
struct address {
    unsigned char at[ADDRESS_BYTES];
};

struct network {
    struct address address;
    unsigned bits; /* of the 128 */
};

MUST_USE bool address_parse(struct address *out, struct str text);
bool address_is_v4(const struct address *address);

/* An address alone is a network of one. false also if bits behind the prefix are set, since then
 * nobody can tell what was meant. */
MUST_USE bool network_parse(struct network *out, struct str text);
bool network_holds(const struct network *network, const struct address *address);

#endif
