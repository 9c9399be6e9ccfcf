/* agents.c - from what a request says of agents to the debate's team. */
#include "handlers/debates/agents.h"

#include "common/base/agent_spec.h"
#include "common/base/provider.h"
#include "common/store/debate.h"
#include "common/store/transcript.h"

static enum result bad_agents(struct request *r, struct str message)
{
    return refuse(r, ERR_VALIDATION, .field = STR("agents"), .message = message);
}

#define AGENTS_GIVEN_MAX 32

/* {"provider", "model", "persona", "role", "name"}; a lone name is read as text would be. */
static bool object_spec(struct agent_spec *out, struct json_object *item)
{
    static const char *const names[] = { "provider", "agent_type", "type", "agent", "name" };
    struct str text;

    for (size_t i = 0; i < COUNT(names); i++) {
        if (!json_get_str(&text, item, names[i]))
            continue;
        agent_spec_parse(out, text);
        (void)json_get_str(&out->model, item, "model");
        (void)json_get_str(&out->persona, item, "persona");
        (void)json_get_str(&out->role, item, "role");
        (void)json_get_str(&out->name, item, "name");
        return true;
    }
    return false;
}

static enum result list_specs(struct list *out, struct request *r, struct json_object *value)
{
    size_t items = json_object_array_length(value);
    struct agent_spec *specs = arena_array(r->arena, items + 1, sizeof(*specs));

    if (items > 10)
        return bad_agents(r, STR("Field 'agents' must have at most 10 items"));
    for (size_t i = 0; i < items; i++) {
        struct json_object *item = json_object_array_get_idx(value, i);

        if (json_str(item).at)
            agent_spec_parse(&specs[i], json_str(item));
        else if (!object_spec(&specs[i], item))
            return bad_agents(
                r, arena_printf(r->arena, "Field 'agents[%zu]' must be of type string", i));
    }
    *out = (struct list){ specs, items };
    return OK;
}

/* Of the request's agents, a list of texts and objects or a comma string; of struct agent_spec. */
static enum result agent_specs(struct list *out, struct request *r, struct json_text given_agents)
{
    struct agent_spec *specs = arena_array(r->arena, AGENTS_GIVEN_MAX, sizeof(*specs));
    struct json_object *value;
    size_t count = 0;
    struct str part;

    TRY(json_parse(&value, r->arena, given_agents.text, &json_limits_wide, NULL));
    if (json_object_is_type(value, json_type_array))
        return list_specs(out, r, value);
    struct str rest = str_trim(json_str(value));
    if (str_starts(rest, STR("["))) { /* a list in a string */
        if (json_parse(&value, r->arena, rest, &json_limits_wide, NULL) != OK)
            return bad_agents(r, STR("Field 'agents' is no list of names"));
        return list_specs(out, r, value);
    }
    while (str_split(&part, &rest, ',') && count < AGENTS_GIVEN_MAX)
        if (str_trim(part).len)
            agent_spec_parse(&specs[count++], str_trim(part));
    *out = (struct list){ specs, count };
    return OK;
}

#define USE_DEMO "use demo agents, for example demo, demo-skeptic, demo-optimist"

static enum result unknown_provider(struct request *r, struct str name)
{
    struct str near = provider_near(r->arena, name);

    return refuse(r, ERR_VALIDATION, .field = STR("agents"),
                  .message = arena_printf(r->arena, "Unknown agent provider '" STR_FMT "'",
                                          STR_ARG(str_cut(name, 64))),
                  .suggestion =
                      near.at ? arena_printf(r->arena, "Did you mean " STR_FMT "?", STR_ARG(near))
                              : STR("Name a provider, or " USE_DEMO),
                  .use_playground = true);
}

static enum result not_configured(struct request *r, const struct provider *provider)
{
    const char *key = setting_row(provider->key)->name;

    return refuse(r, ERR_PROVIDER_NOT_CONFIGURED, .field = STR("agents"),
                  .message =
                      arena_printf(r->arena, "Provider '%s' is not configured: %s is not set",
                                   provider->name, key),
                  .suggestion = arena_printf(r->arena, "Set %s for the server, or " USE_DEMO, key),
                  .use_playground = true);
}

static enum result out_of_reach(struct request *r, const struct provider *provider)
{
    bool known = provider->kind != PROVIDER_ABSENT;
    struct str message =
        known
            ? arena_printf(r->arena,
                           "The server is offline, and %s names no address of its own machine for "
                           "provider '%s'",
                           setting_row(provider->base)->name, provider->name)
            : arena_printf(r->arena, "Provider '%s' is not available on this server",
                           provider->name);

    return refuse(r, known ? ERR_PROVIDER_NOT_CONFIGURED : ERR_VALIDATION, .field = STR("agents"),
                  .message = message, .suggestion = STR("Name another provider, or " USE_DEMO),
                  .use_playground = true);
}

/* Never a silent stand-in: what cannot answer is refused, with what would help. NULL: refused. */
static const struct provider *find_provider(struct request *r, struct str name)
{
    const struct provider *provider = provider_find(name);

    if (!provider) {
        (void)unknown_provider(r, name);
        return NULL;
    }
    switch (provider_state(provider)) {
    case PROVIDER_READY:
        return provider;
    case PROVIDER_NO_KEY:
        (void)not_configured(r, provider);
        return NULL;
    case PROVIDER_NOT_HERE:
    case PROVIDER_AWAY:
        (void)out_of_reach(r, provider);
        return NULL;
    }
    return NULL;
}

enum result agents_ready(struct request *r, struct list agents)
{
    for (size_t i = 0; i < agents.count; i++)
        if (!find_provider(r, ((const struct transcript_agent *)agents.at)[i].provider))
            return r->refusal.result;
    return OK;
}

static enum result check_model(struct request *r, const struct provider *provider, struct str model)
{
    if (!model.len || provider->kind == PROVIDER_DEMO || provider_has_model(provider, model))
        return OK;
    struct str near = provider_near_model(r->arena, provider, model);
    return refuse(r, ERR_VALIDATION, .field = STR("agents"),
                  .message = arena_printf(r->arena, "Unknown model '" STR_FMT "' of provider '%s'",
                                          STR_ARG(str_cut(model, 100)), provider->name),
                  .suggestion =
                      near.at
                          ? arena_printf(r->arena, "Did you mean " STR_FMT "?", STR_ARG(near))
                          : arena_printf(r->arena,
                                         "Models that the server does not know are listed in %s",
                                         setting_row(SETTING_PROVIDER_MODELS)->name));
}

#define NAME_MAX_CHARACTERS 32

/* provider[_persona][_role] (debates.md 4.2); a demo agent's persona follows a dash. */
static struct str default_name(struct request *r, const struct agent_spec *spec,
                               const struct provider *provider)
{
    struct str name = arena_str(r->arena, str_from(provider->name));

    if (spec->persona.len)
        name = arena_printf(r->arena, "%s%c" STR_FMT, provider->name,
                            provider->kind == PROVIDER_DEMO ? '-' : '_', STR_ARG(spec->persona));
    if (spec->role.len)
        name = arena_printf(r->arena, STR_FMT "_" STR_FMT, STR_ARG(name), STR_ARG(spec->role));
    name = str_cut(name, NAME_MAX_CHARACTERS);

    for (size_t i = 0; i < name.len; i++) /* qwen-3.5 */
        if (name.at[i] == '.')
            ((char *)name.at)[i] = '-';
    return name;
}

static enum result take_agent(struct debate_agent *out, struct request *r,
                              const struct agent_spec *spec, size_t index)
{
    static const char *const roles[] = { "proposer", "critic", "synthesizer" };
    const struct provider *provider = find_provider(r, spec->provider);

    if (!provider)
        return r->refusal.result;
    TRY(check_model(r, provider, spec->model));
    if (spec->role.len && !agent_role_known(spec->role))
        return bad_agents(r,
                          arena_printf(r->arena, "Field 'agents[%zu]' has an unknown role", index));
    struct str name = spec->name.len ? spec->name : default_name(r, spec, provider);
    if (!field_matches(PATTERN_AGENT, name) || str_characters(spec->model) > 200)
        return bad_agents(r,
                          arena_printf(r->arena, "Field 'agents[%zu]' has invalid format", index));
    *out = (struct debate_agent){
        .agent = name,
        .provider = str_from(provider->name),
        .role = spec->role.len ? spec->role : str_from(roles[index % COUNT(roles)]),
        .model = spec->model.len                ? spec->model
                 : provider_model(provider).len ? provider_model(provider)
                                                : STR_NONE,
        .persona = spec->persona.len ? spec->persona : STR_NONE,
    };
    return OK;
}

/* A name that stands twice gets a number: names are the keys of all that is said. */
static void make_unique(struct request *r, struct debate_agent *agents, size_t index)
{
    int number = 1;
    struct str name = agents[index].agent;

    for (size_t i = 0; i < index; i++) {
        if (!str_eq(agents[i].agent, agents[index].agent))
            continue;
        agents[index].agent = arena_printf(
            r->arena, STR_FMT "_%d", STR_ARG(str_cut(name, NAME_MAX_CHARACTERS - 4)), ++number);
        i = (size_t)-1; /* the new name is compared from the start */
    }
}

#define USUAL 3 /* agents */

/* For who names nobody: those of the settings, else demo agents or the configured providers. */
static enum result usual_specs(struct list *out, struct request *r)
{
    static const char *const demo[USUAL] = { "demo-pragmatist", "demo-skeptic", "demo-optimist" };
    const char *names[USUAL];
    struct agent_spec *specs = arena_array(r->arena, USUAL, sizeof(*specs));
    struct str chosen = setting_str(SETTING_DEFAULT_AGENTS);
    size_t count;

    if (chosen.len) {
        struct buf *text = arena_buf(r->arena);

        buf_json_str(text, chosen);
        return agent_specs(out, r, (struct json_text){ buf_view(text) });
    }
    bool demo_mode = provider_demo_mode();
    count = demo_mode ? USUAL : provider_usual(names, USUAL);
    if (!count)
        return refuse(r, ERR_UNAVAILABLE, .field = STR("agents"),
                      .message = STR("No agent is named, and no provider is configured"),
                      .suggestion = STR("Set a provider's key for the server, or " USE_DEMO),
                      .use_playground = true);
    for (size_t i = 0; i < USUAL; i++)
        agent_spec_parse(&specs[i], str_from(demo_mode ? demo[i] : names[i % count]));
    *out = (struct list){ specs, USUAL };
    return OK;
}

enum result agents_choose(struct list *out, struct request *r, struct json_text wanted)
{
    struct list specs = { 0 };

    if (wanted.text.at)
        TRY(agent_specs(&specs, r, wanted));
    if (specs.count == 0)
        TRY(usual_specs(&specs, r));
    if ((int64_t)specs.count > setting_int(SETTING_MAX_AGENTS))
        return bad_agents(r, arena_printf(r->arena, "Field 'agents' must have at most %lld items",
                                          (long long)setting_int(SETTING_MAX_AGENTS)));
    struct debate_agent *agents = arena_array(r->arena, specs.count, sizeof(*agents));
    for (size_t i = 0; i < specs.count; i++) {
        TRY(take_agent(&agents[i], r, (const struct agent_spec *)specs.at + i, i));
        make_unique(r, agents, i);
    }
    if (specs.count < 2) /* after what is wrong with the one */
        return refuse(r, ERR_VALIDATION, .field = STR("agents"),
                      .message = STR("Field 'agents' must have at least 2 items"),
                      .suggestion = STR("Name another agent; the same one twice is two"));
    *out = (struct list){ agents, specs.count };
    return OK;
}
