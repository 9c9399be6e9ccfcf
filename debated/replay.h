/* replay.h - the agent that answers from what a provider answered before.
 *
 * It makes no connection and leaves no attempt: what it says is read from the stored reply by the
 * code that read it when it arrived. A step that failed fails again, for the reason that was told.
 */
#ifndef ARAGORA_REPLAY_H
#define ARAGORA_REPLAY_H

#include "debated/agent_kind.h"

/* request->stored is read before this returns. */
struct agent_call *replay_start(const struct agent_request *request,
                                const struct provider *provider);

#endif
