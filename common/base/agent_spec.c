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

static void parse_colon(struct agent_spec *spec)
{
    struct str rest = spec->provider;

    (void)str_split(&spec->provider, &rest, ':');
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
