#include "common/auth/open_mode.h"

#include "common/base/settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

const char *const open_mode_forwarding[] = {
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-server",
    "forwarded",
    "x-real-ip",
    "via",
    NULL,
};

bool open_mode_asked(void)
{
    return setting_given(SETTING_AUTH_REQUIRED) ? !setting_flag(SETTING_AUTH_REQUIRED)
                                                : setting_flag(SETTING_OFFLINE);
}

bool open_mode_possible(void)
{
    return open_mode_asked() && loopback_host(setting_str(SETTING_BIND_HOST)) &&
           !setting_str(SETTING_API_TOKEN).len;
}

/* A grant is a message of the parent's, so a file cannot hold one. */
bool open_mode_granted(uid_t *starter)
{
    if (setting_origin(SETTING_OPEN_MODE) != ORIGIN_ENVIRONMENT || !open_mode_possible())
        return false;
    *starter = (uid_t)setting_int(SETTING_OPEN_MODE);
    return true;
}

bool loopback_host(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr four;
    struct in6_addr six;

    if (!host.len || str_eq_nocase(host, STR("localhost")))
        return host.len > 0;
    if (host.len >= sizeof(text) || memchr(host.at, '\0', host.len))
        return false;
    snprintf(text, sizeof(text), STR_FMT, STR_ARG(host));
    if (inet_pton(AF_INET, text, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* A Host header: name or [IPv6], and perhaps a port (RFC 9110 7.2). */
static bool loopback_authority(struct str authority)
{
    bool six = str_starts(authority, STR("["));
    struct str rest = six ? str_slice(authority, 1, authority.len) : authority, name;
    int64_t port;

    if (!authority.len || !str_split(&name, &rest, six ? ']' : ':') || !loopback_host(name))
        return false;
    if (!six)
        return !rest.at || str_int(&port, rest, 1, UINT16_MAX);
    return memchr(name.at, ':', name.len) && rest.at &&
           (!rest.len ||
            (rest.at[0] == ':' && str_int(&port, str_slice(rest, 1, rest.len), 1, UINT16_MAX)));
}

/* A page that this server itself sent; the name it was called by is known to be loopback's. */
static bool same_origin(const struct open_caller *caller)
{
    struct str scheme = setting_flag(SETTING_SSL) ? STR("https://") : STR("http://");

    return str_starts(caller->origin, scheme) &&
           str_eq_nocase(str_slice(caller->origin, scheme.len, caller->origin.len), caller->host);
}

bool open_mode_admits(const struct open_caller *caller, uid_t starter)
{
    return loopback_authority(caller->host) && !caller->forwarded &&
           (!caller->origin.at || caller->origin_named || same_origin(caller)) &&
           caller->peer_known && (caller->peer == geteuid() || caller->peer == starter);
}
