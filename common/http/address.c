#include "common/http/address.h"

#include <netinet/in.h>

struct network4 {
    uint32_t prefix;
    unsigned bits;
};

struct network6 {
    unsigned char prefix[4];
    unsigned bits;
};

/* RFC 6890 and its updates; 224/4 is multicast, 240/4 reserved. */
static const struct network4 special4[] = {
    { 0x00000000, 8 },  { 0x0a000000, 8 },  { 0x64400000, 10 }, { 0x7f000000, 8 },
    { 0xa9fe0000, 16 }, { 0xac100000, 12 }, { 0xc0000000, 24 }, { 0xc0000200, 24 },
    { 0xc0586300, 24 }, { 0xc0a80000, 16 }, { 0xc6120000, 15 }, { 0xc6336400, 24 },
    { 0xcb007100, 24 }, { 0xe0000000, 4 },  { 0xf0000000, 4 },
};

/* Inside 2000::/3: protocol assignments and Teredo, documentation, 6to4. */
static const struct network6 special6[] = {
    { { 0x20, 0x01, 0x00, 0x00 }, 23 },
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 },
    { { 0x20, 0x02, 0x00, 0x00 }, 16 },
    { { 0x3f, 0xff, 0x00, 0x00 }, 20 },
};
static const struct network6 global6 = { { 0x20, 0, 0, 0 }, 3 };
static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static uint32_t word(const unsigned char at[4])
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool inside(uint32_t address, uint32_t prefix, unsigned bits)
{
    return (address ^ prefix) >> (32 - bits) == 0;
}

static bool public4(uint32_t address)
{
    for (size_t i = 0; i < COUNT(special4); i++)
        if (inside(address, special4[i].prefix, special4[i].bits))
            return false;
    return true;
}

static bool public6(const unsigned char address[16])
{
    uint32_t head = word(address);

    if (!inside(head, word(global6.prefix), global6.bits))
        return false;
    for (size_t i = 0; i < COUNT(special6); i++)
        if (inside(head, word(special6[i].prefix), special6[i].bits))
            return false;
    return true;
}

/* true: *out is an IPv4 address, perhaps in IPv6 form. */
static bool as_ipv4(uint32_t *out, const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, address, sizeof(in));
        *out = ntohl(in.sin_addr.s_addr);
        return true;
    }
    struct sockaddr_in6 in6;

    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&in6, address, sizeof(in6));
    *out = word(in6.sin6_addr.s6_addr + 12);
    return memcmp(in6.sin6_addr.s6_addr, mapped, sizeof(mapped)) == 0;
}

bool address_is_public(const struct sockaddr *address)
{
    struct sockaddr_in6 in6;
    uint32_t ipv4;

    if (as_ipv4(&ipv4, address))
        return public4(ipv4);
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&in6, address, sizeof(in6));
    return public6(in6.sin6_addr.s6_addr);
}

bool address_is_loopback(const struct sockaddr *address)
{
    struct sockaddr_in6 in6;
    uint32_t ipv4;

    if (as_ipv4(&ipv4, address))
        return ipv4 >> 24 == 127;
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(&in6, address, sizeof(in6));
    return memcmp(&in6.sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
}
