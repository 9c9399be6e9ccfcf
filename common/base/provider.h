/* provider.h - the providers of providers.def: what a request may name, and where they answer.
 *
 * Settings say which of them can be called. Nothing here calls anybody. */
#ifndef ARAGORA_PROVIDER_H
#define ARAGORA_PROVIDER_H

#include "common/base/settings.h"

enum provider_kind {
    PROVIDER_DEMO,
    PROVIDER_OPENAI, /* chat completions with server-sent events */
    PROVIDER_OLLAMA, /* /api/chat with a JSON object per line */
    PROVIDER_ABSENT,
};

struct provider {
    const char *name;
    enum provider_kind kind;
    enum setting base, key; /* SETTING_COUNT: none */
    const char *model;      /* "": none */
};

/* By its name or an alias; NULL: unknown. */
const struct provider *provider_find(struct str name);
/* In the table's order; NULL: behind the last. */
const struct provider *provider_at(size_t index);

enum provider_state {
    PROVIDER_READY,
    PROVIDER_NOT_HERE, /* its interface is not spoken */
    PROVIDER_NO_KEY,   /* setting_row(provider->key) is what to set */
    PROVIDER_AWAY,     /* offline, and it is not on this machine */
};
enum provider_state provider_state(const struct provider *provider);

/* Up to max names of providers that were configured, by a key or an address of one's own, those
 * of different makers first. Returns how many. */
size_t provider_usual(const char *out[], size_t max);
/* Do demo agents answer where nobody is named? */
bool provider_demo_mode(void);

/* The base address without a slash at its end; lives in the arena. */
struct str provider_base(struct arena *arena, const struct provider *provider);
/* The same for people: a user, a password and a query are left out. */
struct str provider_base_shown(struct arena *arena, const struct provider *provider);
/* It answers on this machine, as far as the address says. */
bool provider_is_local(const struct provider *provider);
/* STR_NONE: it needs none. */
struct str provider_key(const struct provider *provider);
/* What is asked for when no model is named: the first of the settings, else the table's. */
struct str provider_model(const struct provider *provider);
/* What ARAGORA_PROVIDER_MODELS lists for it, of struct str. */
struct list provider_listed(struct arena *arena, const struct provider *provider);
/* Providers at an address of the operator's own, and those that serve everybody's models, take
 * any name; the others only what table and settings list, perhaps with a date behind. */
bool provider_has_model(const struct provider *provider, struct str model);

struct price { /* of a token, in millionths of a micro-USD; INT_NONE: unknown */
    int64_t in, out;
};
struct price provider_price(const struct provider *provider, struct str model);
/* Rounded up; INT_NONE: a price or a count is unknown. */
int64_t price_of(const struct price *price, int64_t tokens_in, int64_t tokens_out);
/* The same at the ceiling where the price is unknown. */
int64_t price_worst(const struct price *price, int64_t tokens_in, int64_t tokens_out);

/* Up to three names that resemble a wrong one, "a, b, c"; STR_NONE: none does. A model's name that
 * stands for a provider gives "provider:model". */
struct str provider_near(struct arena *arena, struct str name);
struct str provider_near_model(struct arena *arena, const struct provider *provider,
                               struct str model);

#endif
