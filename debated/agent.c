#include "debated/agent_kind.h"

const char *agent_fault_name(enum agent_fault fault)
{
    static const char *const names[] = {
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

    return names[fault];
}

enum result agent_start(struct agent_call **out, const struct agent_request *request)
{
    const struct provider *provider = provider_find(request->provider);

    if (!provider || provider_state(provider) != PROVIDER_READY)
        return ERR_PROVIDER_NOT_CONFIGURED;
    if (provider->kind == PROVIDER_DEMO) {
        *out = demo_start(request);
        return OK;
    }
    if (!request->http)
        return ERR_PROVIDER_NOT_CONFIGURED;
    *out = provider_start(request, provider);
    return OK;
}

const struct agent_plan *agent_plan(const struct agent_call *call)
{
    return call->kind->report ? &call->plan : NULL;
}

enum call_state agent_advance(struct agent_call *call, struct buf *text, int64_t now_us,
                              int64_t *due_us)
{
    return call->kind->advance(call, text, now_us, due_us);
}

void agent_report(struct agent_report *out, struct agent_call *call)
{
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
