#include "debated/agent_kind.h"
#include "debated/replay.h"

static const char *const fault_names[] = {
    [AGENT_NO_FAULT] = "none",
    [AGENT_TIMEOUT] = "timeout",
    [AGENT_RATE_LIMIT] = "rate_limit",
    [AGENT_NETWORK] = "network",
    [AGENT_AUTH] = "auth",
    [AGENT_VALIDATION] = "validation",
    [AGENT_MODEL] = "model",
    [AGENT_CONTENT_POLICY] = "content_policy",
    [AGENT_EMPTY] = "empty",
    [AGENT_TRUNCATED] = "truncated",
    [AGENT_BROKEN] = "protocol",
    [AGENT_UNKNOWN] = "unknown",
};

const char *agent_fault_name(enum agent_fault fault)
{
    return fault_names[fault];
}

enum agent_fault agent_fault_find(struct str name)
{
    for (size_t i = 0; i < COUNT(fault_names); i++)
        if (str_is(name, fault_names[i]))
            return (enum agent_fault)i;
    return AGENT_UNKNOWN;
}

enum result agent_start(struct agent_call **out, const struct agent_request *request)
{
    const struct provider *provider = provider_find(request->provider);

    if (provider && provider->kind == PROVIDER_DEMO) {
        *out = demo_start(request);
        return OK;
    }
    if (provider && request->stored) {
        *out = replay_start(request, provider);
        return OK;
    }
    if (!provider || provider_state(provider) != PROVIDER_READY)
        return ERR_PROVIDER_NOT_CONFIGURED;
    if (!request->http)
        return ERR_PROVIDER_NOT_CONFIGURED;
    *out = provider_start(request, provider);
    return OK;
}

const struct agent_plan *agent_plan(const struct agent_call *call)
{
    return call->plan.provider.at ? &call->plan : NULL;
}

enum call_state agent_advance(struct agent_call *call, struct buf *text, int64_t now_us,
                              int64_t *due_us)
{
    return call->kind->advance(call, text, now_us, due_us);
}

void agent_report(struct agent_report *out, struct agent_call *call)
{
    *out = (struct agent_report){ .fault = AGENT_UNKNOWN };
    if (call->kind->report)
        call->kind->report(out, call);
}

void agent_cancel(struct agent_call *call)
{
    if (!call)
        return;
    if (call->kind->cancel)
        call->kind->cancel(call);
    arena_free(call->arena);
}
