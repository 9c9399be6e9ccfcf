#include "common/auth/address.h"

#include "common/base/settings.h"

bool proxy_trusted(struct str address)
{
    struct str rest = setting_str(SETTING_TRUSTED_PROXIES), part;

    while (str_split(&part, &rest, ',')) {
        part = str_trim(part);
        if (str_eq(part, address))
            return true;
        if (str_is(part, "localhost") && (str_is(address, "127.0.0.1") || str_is(address, "::1")))
            return true;
    }
    return false;
}

struct str forwarded_address(struct str peer, struct str forwarded_for)
{
    struct str rest = forwarded_for, part, address = peer;

    if (!proxy_trusted(peer))
        return peer;
    while (rest.len && str_split(&part, &rest, ','))
        if (str_trim(part).len && !proxy_trusted(str_trim(part)))
            address = str_trim(part);
    return address;
}
