/* cooldown.h - when a provider asked to be left alone, all debates of the process do so. */
#ifndef ARAGORA_COOLDOWN_H
#define ARAGORA_COOLDOWN_H

#include "common/base/provider.h"

#include <stdatomic.h>

/* By the setting of the address: providers behind one address share it. Zeroed is none. */
struct cooldowns {
    _Atomic int64_t until_us[SETTING_COUNT]; /* monotonic */
};

/* Longer ones stay. cooldowns may be NULL. */
void cooldown_set(struct cooldowns *cooldowns, const struct provider *provider, int64_t until_us);
/* 0: none was asked for. */
int64_t cooldown_until(struct cooldowns *cooldowns, const struct provider *provider);

#endif
