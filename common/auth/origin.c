#include "common/auth/origin.h"

#include "common/base/settings.h"

static const char *const own_hosts[] = {
    "https://aragora.ai",     "https://www.aragora.ai",    "https://live.aragora.ai",
    "https://api.aragora.ai", "https://aragora.pages.dev", "https://aragora.vercel.app",
};
static const char *const local_hosts[] = {
    "http://localhost:3000",
    "http://localhost:8080",
    "http://127.0.0.1:3000",
    "http://127.0.0.1:8080",
};

static bool listed(const char *const *hosts, size_t count, struct str origin)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(origin, hosts[i]))
            return true;
    return false;
}

/* Scheme, host and port of the public URL. */
static bool is_public_url(struct str origin)
{
    struct str url = setting_str(SETTING_PUBLIC_URL);

    return str_starts(url, origin) && str_starts(origin, STR("http")) &&
           (url.len == origin.len || url.at[origin.len] == '/');
}

static bool everywhere(void)
{
    struct str rest = setting_str(SETTING_ALLOWED_ORIGINS), part;

    while (str_split(&part, &rest, ','))
        if (str_is(str_trim(part), "*"))
            return !setting_production();
    return false;
}

bool origin_named(struct str origin)
{
    struct str rest = setting_str(SETTING_ALLOWED_ORIGINS), part;

    if (!origin.len)
        return false;
    if (is_public_url(origin))
        return true;
    if (!rest.at)
        return listed(own_hosts, COUNT(own_hosts), origin) ||
               (!setting_production() && listed(local_hosts, COUNT(local_hosts), origin));
    while (str_split(&part, &rest, ',')) {
        part = str_trim(part);
        if (str_ends(part, STR("/")))
            part = str_slice(part, 0, part.len - 1);
        if (str_eq(part, origin))
            return true;
    }
    return false;
}

bool origin_allowed(struct str origin)
{
    return origin_named(origin) || (origin.len && everywhere());
}
