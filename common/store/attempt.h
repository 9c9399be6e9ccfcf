/* attempt.h - every call of a provider as a row: what was asked, what came, what it cost.
 *
 * A row stands as in_flight, at its worst case, from the transaction before the call; the one
 * that stores the call's result settles it. What is still in flight when its runner is gone is
 * lost and stays booked at the worst case, marked as estimated (decision 19). All writes belong
 * into the runner's transaction, behind job_fence(). */
#ifndef ARAGORA_ATTEMPT_H
#define ARAGORA_ATTEMPT_H

#include "common/base/seal.h"
#include "common/store/job.h"

/* Whether replies are kept, and the key that they are kept under. */
struct attempt_vault {
    bool keeps;
    struct seal_key key;
};

/* As the settings say. As master_key_open(). */
MUST_USE enum result attempt_vault_open(struct attempt_vault *out, struct arena *arena,
                                        struct db *db);

struct attempt_draft {
    struct str attempt_id, step, provider, model, request_digest;
    int64_t tokens_in, tokens_out, worst_micro_usd;
};
/* Behind step_start(), whose step names the attempt from then on. */
MUST_USE enum result attempt_begin(struct db *db, const struct job *job,
                                   const struct attempt_draft *draft);

struct attempt_end {
    const char *outcome; /* used, discarded, refused, failed */
    struct str attempt_id, model_served, request_digest, error;
    int64_t tokens_in, tokens_out, cost_micro_usd; /* INT_NONE: unknown */
    bool estimated;
    struct utc first_byte_at;
    struct str reply; /* as received */
};
MUST_USE enum result attempt_end(struct db *db, const struct attempt_end *end,
                                 const struct attempt_vault *vault);
/* Those of a step, or of the job, that are still in flight; step STR_NONE: of the job. */
MUST_USE enum result attempt_lose(struct db *db, const struct job *job, struct str step);
/* Tokens and cost of all attempts into the debate's row. Unknown costs add nothing. */
MUST_USE enum result attempt_total(struct db *db, const struct job *job);

/* The step names an attempt as that of its text: its own, or a replay's its source's. */
MUST_USE enum result attempt_cite(struct db *db, const struct job *job, struct str step,
                                  struct str attempt_id);

/* Removes up to max replies, of all organisations, that ended longer ago; *removed: how many. */
MUST_USE enum result attempt_expire(int64_t *removed, struct db *db, int64_t term_us, int64_t max);

/* *out lives in the session's arena. ERR_NOT_FOUND: none was kept. ERR_KEY: it does not open. */
MUST_USE enum result attempt_reply(struct str *out, struct db *db, struct str attempt_id,
                                   const struct attempt_vault *vault);

/* How a step of another debate was answered; strings live in the session's arena. */
struct attempt_answer {
    struct str status;        /* of the step; STR_NONE: there is no such step */
    struct str attempt_id;    /* STR_NONE: no provider was asked */
    struct str reply;         /* STR_NONE: it is not there */
    struct json_text failure; /* the data of its agent_error, if it failed */
};
/* vault NULL: replies are not looked for. */
MUST_USE enum result attempt_answer_find(struct attempt_answer *out, struct db *db,
                                         struct str debate_id, struct str step,
                                         const struct attempt_vault *vault);

#endif
