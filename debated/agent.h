/* agent.h - one call of an agent: begun, advanced as its text arrives, ended or cancelled.
 *
 * Calls never block: all of a phase advance in turn on one thread. */
#ifndef ARAGORA_AGENT_H
#define ARAGORA_AGENT_H

#include "common/base/arena.h"
#include "common/base/buf.h"

enum call_kind { CALL_PROPOSAL, CALL_CRITIQUE, CALL_REVISION, CALL_VOTE, CALL_SYNTHESIS };

struct said {
    struct str agent, text;
};

struct prompt { /* borrowed for the call's life */
    enum call_kind kind;
    int64_t round;
    size_t seat; /* the agent's place in the debate */
    struct str agent, task;
    struct str own;        /* its proposal as it stands */
    struct said target;    /* of a critique */
    struct list critiques; /* of struct said: what others said to own */
    struct list proposals; /* of struct said: all, as they stand */
};

enum call_state { CALL_RUNNING, CALL_DONE, CALL_FAILED };

struct agent_settings {
    int64_t demo_pause_us; /* between two words; 0: all at once */
};

struct agent_call;

/* *out is the caller's, for agent_cancel(). ERR_PROVIDER_NOT_CONFIGURED: no such provider. */
MUST_USE enum result agent_start(struct agent_call **out, struct str provider,
                                 const struct agent_settings *settings,
                                 const struct prompt *prompt);
/* Appends what has arrived by now. *due_us: monotonic time to be asked again, if it runs. */
enum call_state agent_advance(struct agent_call *call, struct buf *text, int64_t now_us,
                              int64_t *due_us);
/* Ends the call at any time; NULL is fine. */
void agent_cancel(struct agent_call *call);

/* What a demo agent answers, whole; lives in the arena. */
struct str demo_answer(struct arena *arena, const struct prompt *prompt);

#endif
