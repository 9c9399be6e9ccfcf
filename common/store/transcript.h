/* transcript.h - what is said in a debate, and how it ends.
 *
 * Rows have natural keys: the step that writes one may run twice, the second write changes
 * nothing. All writes belong into the runner's transaction, behind job_fence(). A text is stored
 * with the random salt that its digest in the receipt is made with. */
#ifndef ARAGORA_TRANSCRIPT_H
#define ARAGORA_TRANSCRIPT_H

#include "common/db/db.h"

struct transcript_agent {                             /* strings live in the session's arena */
    struct str agent, provider, role, model, persona; /* the last two may be STR_NONE */
};

struct transcript_message {
    struct str debate_id, role, agent, target, content; /* target: of a critique */
    int64_t round;
    bool partial;
};

struct transcript_critique {
    struct str debate_id, agent, target, reasoning;
    struct json_text issues, suggestions;
    int64_t round;
    double severity; /* 0..10 */
};

struct transcript_vote {
    struct str debate_id, agent, choice, reasoning; /* choice STR_NONE: an abstention */
    int64_t round;
    double confidence; /* 0..1 */
};

struct transcript_outcome {
    struct str strength, winner, final_answer, error;
    struct json_text result;
    bool reached;
    double confidence; /* NaN: nothing was decided */
    int64_t rounds_used;
};

/* In the order of the create request; of struct transcript_agent. */
MUST_USE enum result transcript_agents(struct list *out, struct db *db, struct str debate_id);
/* One more line in the list of what went wrong with an agent. */
MUST_USE enum result transcript_agent_failed(struct db *db, struct str debate_id, struct str agent,
                                             struct json_text failure);
struct transcript_failures {
    struct str agent;
    struct json_text list;
};
/* Agents of whom something went wrong, in their order; of struct transcript_failures. */
MUST_USE enum result transcript_failures(struct list *out, struct db *db, struct str debate_id);
MUST_USE enum result transcript_message_add(struct db *db, const struct transcript_message *in);
MUST_USE enum result transcript_critique_add(struct db *db, const struct transcript_critique *in);
MUST_USE enum result transcript_vote_add(struct db *db, const struct transcript_vote *in);

struct transcript_text {                /* strings live in the session's arena */
    struct str kind, agent, text, salt; /* message, critique, vote: its reason */
    int64_t round;
};
/* Everything that was said, in one order for ever; of struct transcript_text. */
MUST_USE enum result transcript_texts(struct list *out, struct db *db, struct str debate_id);

/* The votes of the last round that had any. */
struct transcript_ballot {
    struct str agent, role, choice, reasoning; /* choice STR_NONE: an abstention */
    struct utc created_at;
};
/* In the order of the agents; of struct transcript_ballot. */
MUST_USE enum result transcript_ballots(struct list *out, struct db *db, struct str debate_id);

struct transcript_objection {
    struct str agent, reasoning;
    struct json_text issues;
    double severity; /* 0..10 */
};
/* The critiques of one agent's proposal in that round; of struct transcript_objection. */
MUST_USE enum result transcript_objections(struct list *out, struct db *db, struct str debate_id,
                                           int64_t round, struct str target);

/* What a debate begins and ends with, and the salts; no text where there is none, or no more. */
struct transcript_frame {
    struct str task, task_salt, final_answer, answer_salt;
};
/* ERR_DEBATE_NOT_FOUND. */
MUST_USE enum result transcript_frame(struct transcript_frame *out, struct db *db,
                                      struct str debate_id);

/* The first start counts: a resumed debate keeps its time. */
MUST_USE enum result transcript_started(struct db *db, struct str debate_id);
MUST_USE enum result transcript_finished(struct db *db, struct str debate_id,
                                         const struct transcript_outcome *outcome);

struct transcript_receipt {
    struct str debate_id, receipt_id, task_salt, answer_salt;
};
MUST_USE enum result transcript_receipt(struct db *db, const struct transcript_receipt *in);

#endif
