#include "common/base/provider.h"

#include "common/base/buf.h"

#include <math.h>

#define SETTING_NONE SETTING_COUNT
#define NEAR_MAX     3
#define COMPARED_MAX 64 /* of names that are compared */

static const struct provider providers[] = {
#define PROVIDER(name, kind, base, key, model)                                                     \
    { name, PROVIDER_##kind, SETTING_##base, SETTING_##key, model },
#define ALIAS(other, name)
#define MODEL(provider, model, in, out)
#include "common/base/providers.def"
#undef PROVIDER
#undef ALIAS
#undef MODEL
};

static const struct {
    const char *other, *name;
} aliases[] = {
#define PROVIDER(name, kind, base, key, model)
#define ALIAS(other, name) { other, name },
#define MODEL(provider, model, in, out)
#include "common/base/providers.def"
#undef PROVIDER
#undef ALIAS
#undef MODEL
};

static const struct model {
    const char *provider, *name;
    double in, out; /* USD of a million tokens */
} models[] = {
#define PROVIDER(name, kind, base, key, model)
#define ALIAS(other, name)
#define MODEL(provider, model, in, out) { provider, model, in, out },
#include "common/base/providers.def"
#undef PROVIDER
#undef ALIAS
#undef MODEL
};

const struct provider *provider_find(struct str name)
{
    for (size_t i = 0; i < COUNT(aliases); i++)
        if (str_is(name, aliases[i].other))
            name = str_from(aliases[i].name);
    for (size_t i = 0; i < COUNT(providers); i++)
        if (str_is(name, providers[i].name))
            return &providers[i];
    return NULL;
}

const struct provider *provider_at(size_t index)
{
    return index < COUNT(providers) ? &providers[index] : NULL;
}

/* --- Addresses --------------------------------------------------------------------------- */

struct str provider_base(struct arena *arena, const struct provider *provider)
{
    struct str base = setting_str(provider->base);
    size_t scheme;

    while (str_ends(base, STR("/")))
        base.len--;
    if (str_find(&scheme, base, STR("://")))
        return arena_str(arena, base);
    /* OLLAMA_HOST is also what Ollama binds: without a scheme, and perhaps every address. */
    if (str_starts(base, STR("0.0.0.0")))
        return arena_printf(arena, "http://127.0.0.1" STR_FMT,
                            STR_ARG(str_slice(base, 7, base.len)));
    return arena_printf(arena, "http://" STR_FMT, STR_ARG(base));
}

struct str provider_base_shown(struct arena *arena, const struct provider *provider)
{
    struct str base = provider_base(arena, provider), rest;
    size_t scheme, from, to;

    if (!str_find(&scheme, base, STR("://")))
        return base;
    from = to = scheme + 3;
    while (to < base.len && base.at[to] != '/' && base.at[to] != '?' && base.at[to] != '#') {
        if (base.at[to++] == '@')
            from = to;
    }
    rest = str_slice(base, from, base.len);
    for (size_t i = 0; i < rest.len; i++)
        if (rest.at[i] == '?' || rest.at[i] == '#')
            rest.len = i;
    return arena_printf(arena, STR_FMT "://" STR_FMT, STR_ARG(str_slice(base, 0, scheme)),
                        STR_ARG(rest));
}

struct str provider_key(const struct provider *provider)
{
    return provider->key == SETTING_NONE ? STR_NONE : setting_str(provider->key);
}

bool provider_is_local(const struct provider *provider)
{
    static const char *const names[] = { "://localhost", "://127.", "://[::1]" };
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct str base = provider_base(arena, provider);
    size_t at;

    for (size_t i = 0; i < COUNT(names); i++)
        if (str_find(&at, base, str_from(names[i])))
            return true;
    return false;
}

enum provider_state provider_state(const struct provider *provider)
{
    if (provider->kind == PROVIDER_ABSENT)
        return PROVIDER_NOT_HERE;
    if (provider->kind == PROVIDER_DEMO)
        return PROVIDER_READY;
    if (setting_flag(SETTING_OFFLINE) && !provider_is_local(provider))
        return PROVIDER_AWAY;
    if (provider->key == SETTING_NONE || provider_key(provider).len ||
        setting_given(provider->base))
        return PROVIDER_READY;
    return PROVIDER_NO_KEY;
}

static bool configured(const struct provider *provider)
{
    return provider && provider_state(provider) == PROVIDER_READY &&
           (provider_key(provider).len || setting_given(provider->base));
}

size_t provider_usual(const char *out[], size_t max)
{
    static const char *const names[] = { "grok", "openai-api",  "deepseek", "mistral",  "qwen",
                                         "kimi", "mistral-api", "ollama",   "lm-studio" };
    size_t count = 0;

    for (size_t i = 0; i < COUNT(names) && count < max; i++)
        if (configured(provider_find(str_from(names[i]))))
            out[count++] = names[i];
    return count;
}

bool provider_demo_mode(void)
{
    const char *one[1];

    if (setting_given(SETTING_DEMO_MODE))
        return setting_flag(SETTING_DEMO_MODE);
    return setting_flag(SETTING_OFFLINE) || provider_usual(one, 1) == 0;
}

/* --- Models ------------------------------------------------------------------------------ */

/* The next PROVIDER:MODEL[=IN/OUT] of that provider; prices are NAN where none stands. */
static bool next_listed(struct model *out, struct str *model, struct str *rest,
                        const struct provider *provider)
{
    struct str entry, name, price, in;

    while (str_split(&entry, rest, ',')) {
        size_t equals = entry.len;

        entry = str_trim(entry);
        if (!str_split(&name, &entry, ':') || provider_find(name) != provider || !entry.len)
            continue;
        for (size_t i = 0; i < entry.len; i++)
            if (entry.at[i] == '=')
                equals = i;
        *model = str_slice(entry, 0, equals);
        *out = (struct model){ .in = NAN, .out = NAN };
        price = str_slice(entry, equals + 1, entry.len);
        if (equals < entry.len && str_split(&in, &price, '/') &&
            !(str_double(&out->in, in) && str_double(&out->out, price)))
            out->in = out->out = NAN;
        return true;
    }
    return false;
}

struct str provider_model(const struct provider *provider)
{
    struct str rest = setting_str(SETTING_PROVIDER_MODELS), model;
    struct model listed;

    return next_listed(&listed, &model, &rest, provider) ? model : str_from(provider->model);
}

struct list provider_listed(struct arena *arena, const struct provider *provider)
{
    struct str rest = setting_str(SETTING_PROVIDER_MODELS), model, *names;
    struct model listed;
    size_t count = 0;

    names = arena_array(arena, rest.len / 2 + 1, sizeof(*names)); /* a name and a comma each */
    while (next_listed(&listed, &model, &rest, provider))
        names[count++] = model;
    return (struct list){ names, count };
}

static bool serves_any(const struct provider *provider)
{
    return provider->kind == PROVIDER_OLLAMA || provider->key == SETTING_NONE ||
           provider->key == SETTING_OPENROUTER_API_KEY || setting_given(provider->base);
}

/* gpt-4o-2024-08-06 is gpt-4o; grok-4-1-fast, which has no four digits, is no grok-4. */
static bool is_dated(struct str model, struct str base)
{
    struct str rest = str_slice(model, base.len, model.len);

    if (!str_starts(model, base) || rest.len < 5 || (rest.at[0] != '-' && rest.at[0] != '@'))
        return false;
    for (size_t i = 1; i < 5; i++)
        if (rest.at[i] < '0' || rest.at[i] > '9')
            return false;
    return true;
}

static bool names_model(struct str model, const char *known)
{
    return str_is(model, known) || is_dated(model, str_from(known));
}

bool provider_has_model(const struct provider *provider, struct str model)
{
    struct str rest = setting_str(SETTING_PROVIDER_MODELS), other;
    struct model listed;

    if (serves_any(provider))
        return true;
    while (next_listed(&listed, &other, &rest, provider))
        if (str_eq(model, other))
            return true;
    for (size_t i = 0; i < COUNT(models); i++)
        if (str_is(str_from(provider->name), models[i].provider) &&
            names_model(model, models[i].name))
            return true;
    return false;
}

/* --- Prices ------------------------------------------------------------------------------ */

/* A price applies to names that go on with a date or the like: gpt-4o-2024-08-06 is gpt-4o, but
 * gpt-4o-mini is not. */
static bool is_version_of(struct str model, struct str base)
{
    struct str rest = str_slice(model, base.len, model.len);

    return str_starts(model, base) &&
           (rest.len == 0 || (rest.len > 1 && (rest.at[0] == '-' || rest.at[0] == '@') &&
                              rest.at[1] >= '0' && rest.at[1] <= '9'));
}

static struct price to_price(double in, double out)
{
    if (isnan(in) || isnan(out) || in < 0 || out < 0)
        return (struct price){ INT_NONE, INT_NONE };
    return (struct price){ (int64_t)llround(in * 1e6), (int64_t)llround(out * 1e6) };
}

struct price provider_price(const struct provider *provider, struct str model)
{
    struct str rest = setting_str(SETTING_PROVIDER_MODELS), other, name;
    struct model listed;
    const struct model *best = NULL;

    while (next_listed(&listed, &other, &rest, provider))
        if (str_eq(model, other))
            return to_price(listed.in, listed.out);
    if (provider->key == SETTING_NONE)
        return (struct price){ 0, 0 }; /* one's own machine */
    if (setting_given(provider->base))
        return to_price(NAN, NAN);
    name = model;
    for (size_t i = 0; i < model.len; i++) /* without the vendor */
        if (model.at[i] == '/')
            name = str_slice(model, i + 1, model.len);
    for (size_t i = 0; i < COUNT(models); i++)
        if (is_version_of(name, str_from(models[i].name)) &&
            (!best || strlen(models[i].name) > strlen(best->name)))
            best = &models[i];
    return best ? to_price(best->in, best->out) : to_price(NAN, NAN);
}

int64_t price_of(const struct price *price, int64_t tokens_in, int64_t tokens_out)
{
    int64_t in, out, sum;

    if (price->in == INT_NONE || price->out == INT_NONE || tokens_in == INT_NONE ||
        tokens_out == INT_NONE || __builtin_mul_overflow(price->in, tokens_in, &in) ||
        __builtin_mul_overflow(price->out, tokens_out, &out) ||
        __builtin_add_overflow(in, out, &sum) || __builtin_add_overflow(sum, 999999, &sum))
        return INT_NONE;
    return sum / 1000000;
}

int64_t price_worst(const struct price *price, int64_t tokens_in, int64_t tokens_out)
{
    double ceiling = setting_real(SETTING_PRICE_CEILING);
    struct price worst = price->in == INT_NONE ? to_price(ceiling, ceiling) : *price;
    int64_t cost = price_of(&worst, tokens_in, tokens_out);

    return cost == INT_NONE ? 0 : cost;
}

/* --- What was perhaps meant -------------------------------------------------------------- */

/* Edits from one name to the other (Levenshtein), one row at a time. */
static size_t distance(struct str a, struct str b)
{
    size_t row[COMPARED_MAX + 1], corner, above;

    a = str_slice(a, 0, COMPARED_MAX);
    b = str_slice(b, 0, COMPARED_MAX);
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = corner + (a.at[i - 1] != b.at[j - 1]);

            above = row[j];
            best = best < above + 1 ? best : above + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
            corner = above;
        }
    }
    return row[b.len];
}

/* 0: as good as equal. */
static size_t unlikeness(struct str wrong, struct str name)
{
    size_t place;

    if (wrong.len >= 3 && (str_find(&place, name, wrong) || str_starts(wrong, name)))
        return 0;
    return distance(wrong, name);
}

struct nearest {
    struct str names[NEAR_MAX];
    size_t unlike[NEAR_MAX], count;
};

static void consider(struct nearest *nearest, struct str wrong, struct str name, struct str shown)
{
    size_t unlike = unlikeness(wrong, name), at = nearest->count;

    if (unlike > 1 + wrong.len / 3) /* too many edits to have been meant */
        return;
    while (at && nearest->unlike[at - 1] > unlike) {
        if (at < NEAR_MAX) {
            nearest->names[at] = nearest->names[at - 1];
            nearest->unlike[at] = nearest->unlike[at - 1];
        }
        at--;
    }
    if (at == NEAR_MAX)
        return;
    nearest->names[at] = shown;
    nearest->unlike[at] = unlike;
    if (nearest->count < NEAR_MAX)
        nearest->count++;
}

static struct str joined(struct arena *arena, const struct nearest *nearest)
{
    struct str text = nearest->count ? nearest->names[0] : STR_NONE;

    for (size_t i = 1; i < nearest->count; i++)
        text = arena_printf(arena, STR_FMT ", " STR_FMT, STR_ARG(text), STR_ARG(nearest->names[i]));
    return text;
}

struct str provider_near(struct arena *arena, struct str name)
{
    struct nearest nearest = { 0 };

    for (size_t i = 0; i < COUNT(providers); i++)
        if (providers[i].kind != PROVIDER_ABSENT)
            consider(&nearest, name, str_from(providers[i].name), str_from(providers[i].name));
    for (size_t i = 0; i < COUNT(aliases); i++)
        if (provider_find(str_from(aliases[i].name))->kind != PROVIDER_ABSENT)
            consider(&nearest, name, str_from(aliases[i].other), str_from(aliases[i].other));
    for (size_t i = 0; i < COUNT(models); i++)
        consider(&nearest, name, str_from(models[i].name),
                 arena_printf(arena, "%s:%s", models[i].provider, models[i].name));
    return joined(arena, &nearest);
}

struct str provider_near_model(struct arena *arena, const struct provider *provider,
                               struct str model)
{
    struct str rest = setting_str(SETTING_PROVIDER_MODELS), other;
    struct nearest nearest = { 0 };
    struct model listed;

    while (next_listed(&listed, &other, &rest, provider))
        consider(&nearest, model, other, other);
    for (size_t i = 0; i < COUNT(models); i++)
        if (str_is(str_from(provider->name), models[i].provider))
            consider(&nearest, model, str_from(models[i].name), str_from(models[i].name));
    return joined(arena, &nearest);
}
