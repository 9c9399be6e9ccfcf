/* announce.h - what was committed is told on the bus.
 *
 * One per process. Events and deltas travel as the frame that clients will get, encoded once. */
#ifndef ARAGORA_ANNOUNCE_H
#define ARAGORA_ANNOUNCE_H

#include "common/store/event.h"

/* From here on committed events and new jobs of this process are told. Without it, or when it
 * fails (ERR_SYSTEM), receivers find them within a second. Before any thread. */
MUST_USE enum result announce_open(const char *data_directory);
void announce_close(void);

/* The head of a message on BUS_STREAM, borrowed from it. false: of another form. */
struct announced {
    struct str org_id, loop_id, type, agent, task_id;
    int64_t seq;       /* 0: a delta, which is not stored */
    int64_t agent_seq; /* of a delta: its place in the text of agent and task_id, from 1 */
    int64_t attempt;   /* of a token event: which try at that text, from 1; else 0 */
};
MUST_USE bool announced_read(struct announced *out, struct str head);

#endif
