/* fork.h - debates that come out of another one: replays and forks.
 *
 * A replay goes through all of its source again, while the replies of its providers are read from
 * the source's attempts: no call is made, and nothing is decided anew. A fork takes over what its
 * parent had stored before a step, without a call, and runs live from there: it is a debate whose
 * first steps are done. Both are debates of their own, with an id, a job and a journal. */
#ifndef ARAGORA_FORK_H
#define ARAGORA_FORK_H

#include "common/store/attempt.h"

struct debate_step { /* strings live in the session's arena */
    struct str step, status, agent, task_id, attempt_id, text;
    struct utc at; /* of its last change */
    bool asked;    /* of a provider */
    bool kept;     /* the provider's reply is stored */
    bool message;  /* its text is a message of the debate */
    /* Where it stands, by its name. */
    int64_t round, place;
};

/* In the order in which a debate goes through them; within a phase, as they ended. */
MUST_USE enum result debate_steps(struct list *out, struct db *db, struct str debate_id);

/* --- Forks ------------------------------------------------------------------------------- */

struct fork_draft {
    struct str trace_id, traceparent; /* as of a debate_draft */
    struct str parent_id, user_id;    /* user_id STR_NONE: the parent's owner */
    struct str step;                  /* the first that runs live; STR_NONE: by messages */
    int64_t branch_point;             /* messages to take over, if there is no step */
    struct str premise;               /* what the agents are told besides; STR_NONE: none */
    int64_t rounds;                   /* INT_NONE: as many as the parent */
};

struct fork { /* strings live in the session's arena */
    struct str fork_id, parent_id, step, premise, status;
    struct str under; /* its nearest ancestor that is not deleted */
    int64_t branch_point;
    struct utc created_at;
};

/* In the open transaction, or one of its own. With another number of rounds no votes are taken
 * over, nor what follows from them. ERR_DEBATE_NOT_FOUND; ERR_NOT_FOUND: the parent has no such
 * step; ERR_RANGE: it has fewer messages; ERR_INVALID_VALUE: the rounds end before the step;
 * ERR_CAPACITY. */
MUST_USE enum result debate_fork(struct fork *out, struct db *db, const struct fork_draft *draft,
                                 int64_t max_waiting);
/* Forks of a debate and of its forks, oldest first; of struct fork. */
MUST_USE enum result debate_forks(struct list *out, struct db *db, struct str debate_id);

/* --- Replays ----------------------------------------------------------------------------- */

struct replay_gap {
    struct str step; /* STR_NONE: it is not about a step */
    const char *why; /* English, without a full stop */
};

/* Is all there that a replay needs? ERR_CONFLICT: no, as *gap says. ERR_DEBATE_NOT_FOUND. */
MUST_USE enum result replay_check(struct replay_gap *gap, struct db *db, struct str source_id,
                                  const struct attempt_vault *vault);
/* *replay_id lives in the session's arena. ERR_DEBATE_NOT_FOUND, ERR_CAPACITY. */
MUST_USE enum result debate_replay(struct str *replay_id, struct db *db, struct str source_id,
                                   int64_t max_waiting);
/* What a debate's calls were: how many, and their known cost. */
struct debate_bill {
    int64_t calls, micro_usd;
};
MUST_USE enum result debate_bill(struct debate_bill *out, struct db *db, struct str debate_id);

/* Replays and forks that hold the texts of a debate too; of struct str. */
MUST_USE enum result debate_offspring(struct list *out, struct db *db, struct str debate_id);

#endif
