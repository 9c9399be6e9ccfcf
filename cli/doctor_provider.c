/* doctor_provider.c - are the model providers there, do they take the key, have they the models?
 *
 * Each address is asked for its list of models, as debates would ask it for a reply: the same
 * client, proxy, authorities and reach. What was configured and does not work is a failure; what
 * merely is there by default, as a local Ollama, is a note. */
#include "cli/doctor.h"
#include "cli/terminal.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/provider.h"
#include "common/http/client.h"

#include <stdio.h>

#define CONNECT_US    (3 * US_PER_S)
#define FIRST_BYTE_US (6 * US_PER_S)
#define TOTAL_US      (8 * US_PER_S)
#define LIST_MAX      ((size_t)16 * 1024 * 1024) /* bytes */
#define NAME_SHOWN    100                        /* characters of a model's name */

struct question { /* one GET */
    struct http_call *call;
    struct buf body;
    enum http_state state;
};

struct place { /* an address with its key, of one provider or several */
    struct arena *arena;
    const struct provider *provider; /* the first of them */
    struct str shown;
    struct question models;
    struct question key; /* where the list is open to all; call NULL: not asked */
};

struct findings {
    struct finding *at;
    size_t count;
};

static void add(struct findings *out, enum health health, struct str what, struct str mend)
{
    out->at[out->count++] = (struct finding){ health, what, mend };
}

static bool same_place(const struct provider *a, const struct provider *b)
{
    return a->base == b->base && a->key == b->key;
}

static const char *base_name(const struct provider *provider)
{
    return setting_row(provider->base)->name;
}

/* NULL: it is sent no key. */
static const char *key_name(const struct provider *provider)
{
    return provider->key == SETTING_COUNT ? NULL : setting_row(provider->key)->name;
}

/* Somebody set it up; else it is only looked for where it usually is. */
static bool is_configured(const struct provider *provider)
{
    return setting_given(provider->base) || provider_key(provider).len;
}

/* --- Asking ------------------------------------------------------------------------------ */

static void ask(struct question *out, struct place *place, struct http_client *client,
                const char *path)
{
    struct str key = provider_key(place->provider);
    struct http_request request = {
        .method = "GET",
        .url = arena_printf(place->arena, STR_FMT "%s",
                            STR_ARG(provider_base(place->arena, place->provider)), path),
        .reach = setting_flag(SETTING_OFFLINE) ? HTTP_LOOPBACK : HTTP_OPERATOR,
        .limits = { .connect_us = CONNECT_US,
                    .first_byte_us = FIRST_BYTE_US,
                    .total_us = TOTAL_US,
                    .bytes = LIST_MAX },
    };

    if (key.len)
        request.headers[0] = (struct http_header){
            "Authorization", arena_printf(place->arena, "Bearer " STR_FMT, STR_ARG(key)), true
        };
    out->call = http_start(client, &request);
}

static const char *models_path(const struct provider *provider)
{
    return provider->kind == PROVIDER_OLLAMA ? "/api/tags" : "/models";
}

static void place_ask(struct place *place, struct http_client *client)
{
    const struct provider *provider = place->provider;

    ask(&place->models, place, client, models_path(provider));
    if (provider->key == SETTING_OPENROUTER_API_KEY && provider_key(provider).len)
        ask(&place->key, place, client, "/key");
}

/* false: its answer is whole, or none will come. */
static bool goes_on(struct question *question, int64_t *due_us)
{
    int64_t due;

    if (!question->call || question->state != HTTP_RUNNING)
        return false;
    question->state = http_read(question->call, &question->body);
    due = http_due_us(question->call);
    *due_us = due < *due_us ? due : *due_us;
    return question->state == HTTP_RUNNING;
}

static void wait_for_all(struct http_client *client, struct place *places, size_t count)
{
    bool running = true;

    while (running) {
        int64_t due_us = monotonic_us() + TOTAL_US;

        running = false;
        http_advance(client);
        for (size_t i = 0; i < count; i++) {
            running |= goes_on(&places[i].models, &due_us);
            running |= goes_on(&places[i].key, &due_us);
        }
        if (running)
            http_wait(client, due_us);
    }
}

/* --- No answer --------------------------------------------------------------------------- */

static struct str to_mend(const struct place *place, const char *format, const char *name)
{
    return arena_printf(place->arena, format, name);
}

static struct str how_to_start(const struct place *place)
{
    const struct provider *provider = place->provider;

    if (provider->kind == PROVIDER_OLLAMA)
        return to_mend(place, "ollama serve, or %s=where it answers", base_name(provider));
    if (!key_name(provider))
        return to_mend(place, "lms server start, or %s=where it answers", base_name(provider));
    return to_mend(place, "start the server there, or %s=where it answers", base_name(provider));
}

/* How to get through to it, where there was no connection. */
static struct str how_to_reach(const struct place *place)
{
    const char *base = base_name(place->provider);

    if (provider_is_local(place->provider))
        return how_to_start(place);
    if (setting_str(SETTING_HTTPS_PROXY).len)
        return to_mend(place, "HTTPS_PROXY, which is in use here, or NO_PROXY, or %s", base);
    return to_mend(place, "%s, or HTTPS_PROXY if only a proxy leads there", base);
}

static bool is_one_word(struct str key)
{
    for (size_t i = 0; i < key.len; i++)
        if ((unsigned char)key.at[i] <= ' ' || (unsigned char)key.at[i] > '~')
            return false;
    return true;
}

static void found_fault(struct findings *out, const struct place *place, enum http_fault fault)
{
    const struct provider *provider = place->provider;
    enum health health = is_configured(provider) ? FAILING : DOUBTFUL;
    struct str mend = how_to_reach(place);

    if (fault == HTTP_BAD_REQUEST && !is_one_word(provider_key(provider)))
        mend = to_mend(place, "%s: it holds a blank or a line break", key_name(provider));
    else if (fault == HTTP_BAD_REQUEST)
        mend = to_mend(place, "%s=http or https address without user and password",
                       base_name(provider));
    else if (fault == HTTP_BAD_CERTIFICATE)
        mend = to_mend(place, "ARAGORA_CA_BUNDLE=FILE, or %s=http://... if it speaks no TLS",
                       base_name(provider));
    else if (fault == HTTP_BLOCKED)
        mend = to_mend(place, "%s=an address that leads to no private one", base_name(provider));
    add(out, health,
        arena_printf(place->arena, "%s: " STR_FMT "%s: %s", provider->name, STR_ARG(place->shown),
                     models_path(provider), http_fault_text(fault)),
        mend);
}

/* --- An answer that is no list ----------------------------------------------------------- */

static void found_key_refused(struct findings *out, const struct place *place, int status)
{
    const struct provider *provider = place->provider;
    const char *key = key_name(provider);
    bool sent = provider_key(provider).len != 0;

    add(out, FAILING,
        arena_printf(place->arena, "%s: " STR_FMT " answers %d: %s%s", provider->name,
                     STR_ARG(place->shown), status,
                     sent ? "it does not take the key of " : "it asks for a key", sent ? key : ""),
        key ? to_mend(place, sent ? "%s=a key that is valid there" : "%s=a key", key)
            : to_mend(place, "%s=an address that asks for none", base_name(provider)));
}

/* The address without one of the endings, or with the other. */
static struct str better_base(const struct place *place)
{
    static const char *const surplus[] = { "/chat/completions", "/models", "/api/chat",
                                           "/api/tags",         "/api",    "/v1" };
    bool ollama = place->provider->kind == PROVIDER_OLLAMA;
    struct str base = place->shown;

    for (size_t i = 0; i < COUNT(surplus) - !ollama; i++) /* only Ollama's lies before /v1 */
        if (str_ends(base, str_from(surplus[i])))
            return str_slice(base, 0, base.len - strlen(surplus[i]));
    if (!ollama && !str_ends(base, STR("/v1")))
        return arena_printf(place->arena, STR_FMT "/v1", STR_ARG(base));
    return STR_NONE;
}

static void found_no_list(struct findings *out, const struct place *place, int status)
{
    const struct provider *provider = place->provider;
    struct str better = better_base(place);
    const char *vague = provider->kind == PROVIDER_OLLAMA
                            ? "%s=the address of an Ollama"
                            : "%s=what stands before /chat/completions";
    struct str says = status == 200 ? STR("with something that is no list of models")
                                    : arena_printf(place->arena, "%d: not found", status);

    add(out, FAILING,
        arena_printf(place->arena, "%s: " STR_FMT "%s answers " STR_FMT, provider->name,
                     STR_ARG(place->shown), models_path(provider), STR_ARG(says)),
        better.len ? arena_printf(place->arena, "%s=" STR_FMT, base_name(provider), STR_ARG(better))
                   : to_mend(place, vague, base_name(provider)));
}

static void found_status(struct findings *out, const struct place *place, int status)
{
    const struct provider *provider = place->provider;

    if (status == 401 || status == 403) {
        found_key_refused(out, place, status);
    } else if (status == 404 || status == 405) {
        found_no_list(out, place, status);
    } else {
        bool limited = status == 429;

        add(out, limited ? DOUBTFUL : FAILING,
            arena_printf(place->arena, "%s: " STR_FMT "%s answers %d%s", provider->name,
                         STR_ARG(place->shown), models_path(provider), status,
                         limited ? ": too many requests for now" : ""),
            limited         ? STR("wait, then aragora doctor")
            : status == 407 ? STR("HTTPS_PROXY=http://user:password@host:port")
            : status >= 500 ? STR("wait, or look into its log; then aragora doctor")
                            : to_mend(place, "%s=another address", base_name(provider)));
    }
}

/* --- Its models -------------------------------------------------------------------------- */

/* Of struct str; false: the answer is no list of models. */
static bool models_of(struct list *out, const struct place *place)
{
    bool ollama = place->provider->kind == PROVIDER_OLLAMA;
    struct json_object *answer, *entries;

    if (json_parse(&answer, place->arena, buf_view(&place->models.body), &json_limits_wide, NULL) !=
            OK ||
        !json_get(&entries, answer, ollama ? "models" : "data") ||
        !json_object_is_type(entries, json_type_array))
        return false;
    size_t count = json_object_array_length(entries), named = 0;
    struct str *names = arena_array(place->arena, count + 1, sizeof(*names));
    for (size_t i = 0; i < count; i++)
        if (json_get_str(&names[named], json_object_array_get_idx(entries, i),
                         ollama ? "name" : "id"))
            named++;
    *out = (struct list){ names, named };
    return true;
}

/* Ollama adds ":latest" to a name that has no tag. */
static bool has_model(const struct place *place, const struct list *models, struct str wanted)
{
    struct str tagged = arena_printf(place->arena, STR_FMT ":latest", STR_ARG(wanted));
    bool ollama = place->provider->kind == PROVIDER_OLLAMA;

    for (size_t i = 0; i < models->count; i++) {
        struct str name = ((const struct str *)models->at)[i];

        if (str_eq(name, wanted) || (ollama && str_eq(name, tagged)))
            return true;
    }
    return false;
}

static void found_missing(struct findings *out, const struct place *place,
                          const struct provider *provider, const struct list *models,
                          struct str wanted, bool listed)
{
    const struct str *first = models->at;
    struct arena *arena = place->arena;
    struct str other =
        models->count ? arena_printf(arena, "ARAGORA_PROVIDER_MODELS=%s:" STR_FMT, provider->name,
                                     STR_ARG(terminal_line(arena, str_cut(*first, NAME_SHOWN))))
                      : STR_NONE;
    struct str pull = provider->kind == PROVIDER_OLLAMA
                          ? arena_printf(arena, "ollama pull " STR_FMT "%s", STR_ARG(wanted),
                                         other.len ? ", or " : "")
                          : STR_NONE;

    add(out, listed ? FAILING : DOUBTFUL,
        arena_printf(arena, "%s: " STR_FMT " does not have the model " STR_FMT "%s", provider->name,
                     STR_ARG(place->shown), STR_ARG(wanted),
                     listed ? ", which ARAGORA_PROVIDER_MODELS lists"
                            : ", which is asked for when none is named"),
        pull.len || other.len ? arena_printf(arena, STR_FMT STR_FMT, STR_ARG(pull), STR_ARG(other))
                              : STR("load a model there"));
}

/* Of every provider of the place: the models that the settings list, else its default. */
static void look_for_models(struct findings *out, const struct place *place,
                            const struct list *models)
{
    const struct provider *provider;

    for (size_t i = 0; (provider = provider_at(i)); i++) {
        if (!same_place(provider, place->provider))
            continue;
        struct list listed = provider_listed(place->arena, provider);
        struct str fallback = provider_model(provider);
        struct list wanted = listed.count ? listed : (struct list){ &fallback, 1 };

        for (size_t j = 0; j < wanted.count; j++) {
            struct str name = ((const struct str *)wanted.at)[j];

            if (!has_model(place, models, name))
                found_missing(out, place, provider, models, name, listed.count != 0);
        }
    }
}

static void found_models(struct findings *out, const struct place *place)
{
    const struct provider *provider = place->provider;
    struct list models;

    if (!models_of(&models, place)) {
        found_no_list(out, place, 200);
        return;
    }
    add(out, GOOD,
        arena_printf(place->arena, "%s: " STR_FMT " answers and lists %zu model%s", provider->name,
                     STR_ARG(place->shown), models.count, models.count == 1 ? "" : "s"),
        STR_NONE);
    look_for_models(out, place, &models);
}

/* --- The findings ------------------------------------------------------------------------ */

static void judge(struct findings *out, const struct place *place)
{
    int status = http_status(place->models.call);
    int key_status = place->key.call ? http_status(place->key.call) : 0;

    if (place->models.state == HTTP_FAILED)
        found_fault(out, place, http_fault(place->models.call));
    else if (status != 200)
        found_status(out, place, status);
    else if (key_status == 401 || key_status == 403)
        found_key_refused(out, place, key_status);
    else
        found_models(out, place);
}

/* What the settings alone tell of a provider that is not asked. */
static void found_unasked(struct findings *out, struct arena *arena,
                          const struct provider *provider)
{
    switch (provider_state(provider)) {
    case PROVIDER_READY: /* the demo agents */
    case PROVIDER_NOT_HERE:
        return;
    case PROVIDER_NO_KEY:
        add(out, DOUBTFUL,
            arena_printf(arena, "%s is not configured: set %s", provider->name, key_name(provider)),
            STR_NONE);
        return;
    case PROVIDER_AWAY:
        add(out, DOUBTFUL,
            arena_printf(arena, "%s: not called, as ARAGORA_OFFLINE is set and %s is elsewhere",
                         provider->name, base_name(provider)),
            STR_NONE);
        return;
    }
}

static bool is_first_of_its_place(size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (same_place(provider_at(i), provider_at(index)))
            return false;
    return true;
}

static void place_end(struct place *place)
{
    http_end(place->models.call);
    http_end(place->key.call);
    buf_free(&place->models.body);
    buf_free(&place->key.body);
}

/* One of each provider; those that are not asked stay empty. */
static void ask_all(struct place *places, struct arena *arena, struct http_client *client)
{
    const struct provider *provider;

    for (size_t i = 0; (provider = provider_at(i)); i++) {
        if (!is_first_of_its_place(i) || provider->kind == PROVIDER_DEMO ||
            provider_state(provider) != PROVIDER_READY)
            continue;
        places[i] = (struct place){ .arena = arena,
                                    .provider = provider,
                                    .shown = provider_base_shown(arena, provider) };
        place_ask(&places[i], client);
    }
}

struct list doctor_providers(struct arena *arena)
{
    struct http_config config = { .proxy = setting_str(SETTING_HTTPS_PROXY),
                                  .no_proxy = setting_str(SETTING_NO_PROXY),
                                  .ca_file = setting_str(SETTING_CA_BUNDLE) };
    size_t count = 0, listed = setting_str(SETTING_PROVIDER_MODELS).len;
    struct http_client *client;

    while (provider_at(count))
        count++;
    /* At most the place and the default of each, and each model that is listed. */
    struct findings out = { arena_array(arena, 2 * count + listed, sizeof(struct finding)), 0 };
    struct place *places = arena_array(arena, count, sizeof(*places));
    if (http_client_new(&client, &config) != OK) {
        add(&out, BAD, STR("libcurl does not work"), STR("apt-get install libcurl4"));
        return (struct list){ out.at, out.count };
    }
    ask_all(places, arena, client);
    wait_for_all(client, places, count);
    for (size_t i = 0; i < count; i++) {
        if (places[i].provider)
            judge(&out, &places[i]);
        else if (is_first_of_its_place(i))
            found_unasked(&out, arena, provider_at(i));
        place_end(&places[i]);
    }
    http_client_free(client);
    return (struct list){ out.at, out.count };
}
