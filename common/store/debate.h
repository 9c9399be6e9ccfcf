/* debate.h - a debate's row: create, find, list, cancel.
 *
 * Accepted means stored: loop, debate, agents, job and first event commit together
 * (decision 18). What is said in a debate is in transcript.h. */
#ifndef ARAGORA_DEBATE_H
#define ARAGORA_DEBATE_H

#include "common/store/event.h"

#define JOB_DEBATE STR("debate")

/* The rules that a debate may be decided by (debates.md 8.1); ends with NULL. */
extern const char *const debate_rules[];
/* A rule by which an agent decides, and votes advise. */
bool debate_rule_judges(struct str rule);
/* How that agent may be chosen (debates.md 10.1), as far as there is something to choose by; ends
 * with NULL. The first is the default. */
extern const char *const debate_judge_selections[];

struct debate_agent {
    struct str agent, provider, role, model, persona; /* the last two may be STR_NONE */
};

struct debate_draft {
    struct str task, context, consensus, user_id, trace_id;
    struct str judge_selection; /* STR_NONE: the default */
    struct str traceparent;     /* for the job; STR_NONE: none */
    int64_t rounds;
    struct list agents; /* of struct debate_agent, in order */
    struct json_text request;
    bool is_demo;
    /* Of one that comes out of another (fork.h); else STR_NONE. */
    struct str debate_id, replay_of, parent_debate_id, fork_step, premise;
    int64_t branch_point; /* of a fork */
    int64_t judge_seed;   /* the other's; 0: one is drawn, if somebody is to judge */
};

struct debate { /* strings live in the session's arena */
    struct str debate_id, slug, task, context, status, visibility, user_id;
    struct json_text agents, result;
    struct str consensus_mode, consensus_strength, winner, final_answer, error, receipt_id;
    struct str judge_selection; /* STR_NONE: nobody judges */
    struct str cursor;          /* epoch:last_seq; STR_NONE: the stream has not begun */
    struct str replay_of, parent_debate_id, fork_step; /* STR_NONE: no replay, no fork */
    int64_t rounds_requested, rounds_used, last_seq, judge_seed;
    int64_t branch_point; /* INT_NONE: no fork */
    bool consensus_reached, is_demo;
    double confidence;
    double total_cost_usd; /* of all calls, those without a known price left out */
    int64_t total_tokens;
    struct utc created_at, started_at, completed_at;

    /* Of result, once debate_read_result() was asked for them. */
    struct str method;
    struct json_text metadata, agent_failures, absent_agents, demo_agents;
};

/* In the open transaction, or one of its own. *debate_id lives in the session's arena.
 * ERR_CAPACITY: max_waiting debates are queued. */
MUST_USE enum result debate_create(struct str *debate_id, struct db *db,
                                   const struct debate_draft *draft, int64_t max_waiting);
/* ERR_DEBATE_NOT_FOUND, also for another organisation's. */
MUST_USE enum result debate_find(struct debate *out, struct db *db, struct str debate_id);
/* Strings live in the arena. What has not ended, or was erased, has none. */
void debate_read_result(struct debate *debate, struct arena *arena);

struct debate_filter {
    struct str status, or_status; /* stored; status STR_NONE: all */
    struct utc since;
    int64_t limit, offset;
};
/* Newest first; of struct debate. *total counts all that match. */
MUST_USE enum result debate_list(struct list *out, int64_t *total, struct db *db,
                                 const struct debate_filter *filter);
/* Asks the runner to stop, or ends a queued debate with its debate_end event.
 * ERR_DEBATE_NOT_FOUND, ERR_NOT_CANCELLABLE. */
MUST_USE enum result debate_cancel(struct db *db, struct str debate_id, struct str reason);

struct debate_message {
    int64_t index, round;
    struct str role, content, agent, target;
    struct utc timestamp;
    bool demo; /* of a demo agent */
};
MUST_USE enum result debate_messages(struct list *out, int64_t *total, struct db *db,
                                     struct str debate_id, int64_t limit, int64_t offset);

#endif
