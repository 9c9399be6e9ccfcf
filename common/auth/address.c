#include "common/auth/address.h"

#include "common/base/buf.h"
#include "common/base/crypto.h"
#include "common/base/network.h"
#include "common/base/settings.h"

#define GROUP_BYTES ((size_t)8) /* of an IPv6 address */

static bool is_loopback(const struct address *address)
{
    static const struct address six = { { [ADDRESS_BYTES - 1] = 1 } };

    return memcmp(address, &six, sizeof(six)) == 0 ||
           (address_is_v4(address) && address->at[12] == 127);
}

static bool trusted(const struct address *address)
{
    struct str rest = setting_str(SETTING_TRUSTED_PROXIES), part;
    struct network network;

    while (str_split(&part, &rest, ',')) {
        part = str_trim(part);
        if (str_is(part, "localhost")
                ? is_loopback(address)
                : network_parse(&network, part) && network_holds(&network, address))
            return true;
    }
    return false;
}

bool proxy_trusted(struct str text)
{
    struct address address;

    return address_parse(&address, text) && trusted(&address);
}

/* 192.0.2.1:80, [2001:db8::1] and [2001:db8::1]:80 without what is not the address. */
static struct str without_port(struct str text)
{
    const char *colon = text.len ? memchr(text.at, ':', text.len) : NULL;
    const char *close = text.len ? memchr(text.at, ']', text.len) : NULL;
    size_t at = colon ? (size_t)(colon - text.at) : 0;

    if (str_starts(text, STR("[")) && close)
        return str_slice(text, 1, (size_t)(close - text.at));
    if (colon && !memchr(colon + 1, ':', text.len - at - 1))
        return str_slice(text, 0, at);
    return text;
}

/* The last item, which is taken off. */
static struct str take_last(struct str *list)
{
    size_t at = list->len;

    while (at && list->at[at - 1] != ',')
        at--;
    struct str last = str_slice(*list, at, list->len);
    *list = str_slice(*list, 0, at ? at - 1 : 0);
    return without_port(str_trim(last));
}

struct str forwarded_address(struct str peer, struct str forwarded_for)
{
    struct str found = peer;
    struct address address;

    while (forwarded_for.len && proxy_trusted(found)) {
        struct str item = take_last(&forwarded_for);

        if (!item.len)
            continue;
        if (!address_parse(&address, item))
            break;
        found = item;
    }
    return found;
}

struct str address_group(struct arena *arena, struct str text)
{
    struct address address;

    if (!text.len || !memchr(text.at, ':', text.len) || !address_parse(&address, text))
        return text;
    if (address_is_v4(&address))
        return arena_printf(arena, "%u.%u.%u.%u", address.at[12], address.at[13], address.at[14],
                            address.at[15]);
    char *group = arena_alloc(arena, 2 * GROUP_BYTES);
    hex_text(group, address.at, GROUP_BYTES);
    return (struct str){ group, 2 * GROUP_BYTES };
}
