#include "debated/cooldown.h"

void cooldown_set(struct cooldowns *cooldowns, const struct provider *provider, int64_t until_us)
{
    if (!cooldowns)
        return;
    _Atomic int64_t *at = &cooldowns->until_us[provider->base];
    int64_t before = atomic_load(at);
    while (before < until_us && !atomic_compare_exchange_weak(at, &before, until_us))
        ;
}

int64_t cooldown_until(struct cooldowns *cooldowns, const struct provider *provider)
{
    return cooldowns ? atomic_load(&cooldowns->until_us[provider->base]) : 0;
}
