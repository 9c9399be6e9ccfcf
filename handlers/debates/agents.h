/* agents.h - who takes part in a debate, as its create request says. */
#ifndef ARAGORA_DEBATES_AGENTS_H
#define ARAGORA_DEBATES_AGENTS_H

#include "handlers/handler.h"

/* wanted: the member "agents", absent or empty for the usual ones. *out is a list of
 * struct debate_agent with different names, in the request's arena. Refuses, naming the field:
 * providers and models that are not known, or not configured here. */
MUST_USE enum result agents_choose(struct list *out, struct request *r, struct json_text wanted);

/* Can those of a stored debate answer here? agents: of struct transcript_agent. Refuses as above.
 */
MUST_USE enum result agents_ready(struct request *r, struct list agents);

#endif
