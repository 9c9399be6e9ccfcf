/* agent_spec.h - how a request writes an agent: "provider", "provider:model", "provider:role",
 * "provider:model:role", "provider|model|persona|role" with parts left empty or out (debates.md
 * 4.2). */
#ifndef ARAGORA_AGENT_SPEC_H
#define ARAGORA_AGENT_SPEC_H

#include "common/base/base.h"

struct agent_spec { /* parts borrow from the text; STR_NONE: unset */
    struct str provider, model, persona, role, name;
};

extern const char *const agent_roles[]; /* ends with NULL */
bool agent_role_known(struct str role);

/* Never fails: provider is what stands first. "demo-NAME" is a demo agent of that name, and what
 * follows the colon of a demo agent is a persona. */
void agent_spec_parse(struct agent_spec *out, struct str text);

#endif
