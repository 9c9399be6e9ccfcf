/* agent_kind.h - what stands behind agent.h: a kind of agents is a row of functions. */
#ifndef ARAGORA_AGENT_KIND_H
#define ARAGORA_AGENT_KIND_H

#include "common/base/provider.h"
#include "debated/agent.h"

struct agent_kind {
    enum call_state (*advance)(struct agent_call *call, struct buf *text, int64_t now_us,
                               int64_t *due_us);
    void (*report)(struct agent_report *out, struct agent_call *call); /* NULL: it never fails */
    void (*cancel)(struct agent_call *call);                           /* NULL: nothing to end */
};

struct agent_call { /* first member of each kind's own struct */
    const struct agent_kind *kind;
    struct arena *arena;    /* holds the call */
    struct agent_plan plan; /* provider STR_NONE: no attempts */
};

struct agent_call *demo_start(const struct agent_request *request);
/* Of a provider that is ready. */
struct agent_call *provider_start(const struct agent_request *request,
                                  const struct provider *provider);

#endif
