/* absent.h - who was not there when a debate was decided, and why (decision 25). */
#ifndef ARAGORA_ABSENT_H
#define ARAGORA_ABSENT_H

#include "debated/debate_run.h"

struct absence { /* the words of its last agent_error */
    struct str agent, provider, phase, error_type, message;
};
extern const struct field absence_fields[];

struct absences {
    struct list absent;        /* of struct absence, in the order of the agents */
    struct json_text failures; /* {agent: [what went wrong]}, absent in the end or not */
};

/* In the last transaction. *out lives in run->scratch. */
MUST_USE enum result absences_find(struct absences *out, struct run *run);

#endif
