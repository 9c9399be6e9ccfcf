#include "common/base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define V4_BITS 96 /* of the prefix ::ffff:0:0 */

bool address_parse(struct address *out, struct str text)
{
    struct address address = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff } };
    char copy[INET6_ADDRSTRLEN];

    if (!text.len || text.len >= sizeof(copy) || memchr(text.at, '\0', text.len))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    bool six = memchr(text.at, ':', text.len);
    if (inet_pton(six ? AF_INET6 : AF_INET, copy, six ? address.at : address.at + 12) != 1)
        return false;
    *out = address;
    return true;
}

bool address_is_v4(const struct address *address)
{
    static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    return memcmp(address->at, mapped, sizeof(mapped)) == 0;
}

bool network_holds(const struct network *network, const struct address *address)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;

    if (memcmp(network->address.at, address->at, whole) != 0)
        return false;
    return !rest || (network->address.at[whole] ^ address->at[whole]) >> (8 - rest) == 0;
}

static bool bits_behind(const struct network *network)
{
    for (unsigned i = network->bits; i < 8 * ADDRESS_BYTES; i++)
        if (network->address.at[i / 8] >> (7 - i % 8) & 1)
            return true;
    return false;
}

bool network_parse(struct network *out, struct str text)
{
    struct network network = { .bits = 8 * ADDRESS_BYTES };
    struct str rest = text, address;
    int64_t bits;

    if (!str_split(&address, &rest, '/') || !address_parse(&network.address, address))
        return false;
    if (rest.at) {
        unsigned before = memchr(address.at, ':', address.len) ? 0 : V4_BITS;

        if (!str_int(&bits, rest, 0, 8 * ADDRESS_BYTES - before))
            return false;
        network.bits = before + (unsigned)bits;
    }
    if (bits_behind(&network))
        return false;
    *out = network;
    return true;
}
