#include "common/base/agent_spec.h"

const char *const agent_roles[] = { "proposer", "critic",      "synthesizer", "judge",
                                    "analyst",  "implementer", "planner",     NULL };

bool agent_role_known(struct str role)
{
    for (size_t i = 0; agent_roles[i]; i++)
        if (str_is(role, agent_roles[i]))
            return true;
    return false;
}

static struct str next_part(struct str *rest)
{
    struct str part;

    if (!str_split(&part, rest, '|') || !str_trim(part).len)
        return STR_NONE;
    return str_trim(part);
}

/* Models' names may hold colons too, so only a role is taken off the end. */
static struct str without_role(struct agent_spec *spec, struct str rest)
{
    for (size_t i = rest.len; i-- > 0;) {
        struct str last = str_slice(rest, i + 1, rest.len);

        if (rest.at[i] != ':')
            continue;
        if (!agent_role_known(last))
            break;
        spec->role = last;
        return str_slice(rest, 0, i);
    }
    return rest;
}

static void parse_colon(struct agent_spec *spec)
{
    struct str rest = spec->provider;

    (void)str_split(&spec->provider, &rest, ':');
    rest = without_role(spec, rest);
    if (!rest.len)
        return;
    if (agent_role_known(rest))
        spec->role = rest;
    else if (str_is(spec->provider, "demo"))
        spec->persona = rest;
    else
        spec->model = rest;
}

void agent_spec_parse(struct agent_spec *out, struct str text)
{
    struct agent_spec spec = { 0 };
    struct str rest = text;

    spec.provider = next_part(&rest);
    spec.model = next_part(&rest);
    spec.persona = next_part(&rest);
    spec.role = next_part(&rest);
    if (!spec.model.at && !spec.persona.at && !spec.role.at)
        parse_colon(&spec);
    if (str_starts(spec.provider, STR("demo-"))) {
        spec.name = spec.provider;
        spec.provider = STR("demo");
    }
    *out = spec;
}
