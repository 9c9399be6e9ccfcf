/* job.h - work that outlives a request, and the lease that gives it one runner.
 *
 * A lease is an owner, an end by the database's clock, and a fence that rises with each claim.
 * A runner's transactions call job_fence() first: once the fence has moved on, they write
 * nothing. A runner also holds a lock on DATA/run/<id>; who on that host gets the lock knows
 * that it is dead and need not wait for the lease to end. */
#ifndef ARAGORA_JOB_H
#define ARAGORA_JOB_H

#include "common/db/db.h"

#define LEASE_TERM_US (30 * US_PER_S) /* renewed at a third of it */
#define LOSSES_MAX    3               /* runners lost in a row without a new step */

struct job { /* strings live in the session's arena */
    struct str org_id, job_id, kind, subject_id;
    struct json_text payload;
    struct str lease_owner; /* before this claim; STR_NONE: the job was pending */
    int64_t fence, losses;
};

/* Inside a transaction. ERR_ALREADY_EXISTS: the subject has an open job of this kind. */
MUST_USE enum result job_insert(struct db *db, struct str kind, struct str subject_id,
                                struct json_text payload);

/* Who hears of committed jobs; one per process, set at start. */
void job_listen(void (*listener)(void *arg), void *arg);

/* The oldest due job of highest priority, over all organisations, or one whose lease has ended.
 * ERR_NOT_FOUND: no work. After LOSSES_MAX runners the job has failed instead, and is returned
 * with losses >= LOSSES_MAX for its caller to conclude. */
MUST_USE enum result job_claim(struct job *out, struct db *db, struct str runner);
/* Ends the lease of a runner that is known to be dead; its jobs can be claimed at once. */
MUST_USE enum result job_release_runner(int64_t *released, struct db *db, struct str runner);
/* A runner that stops gives its jobs back: they wait again, and none has lost a runner. */
MUST_USE enum result job_give_back(struct db *db, struct str runner);
/* Runners that hold a lease. */
MUST_USE enum result job_runners(struct list *out, struct db *db); /* of struct str */

/* Until now + LEASE_TERM_US. ERR_LEASE_LOST: stop, write nothing more. */
MUST_USE enum result job_renew(struct db *db, const struct job *job, struct str runner);
/* First in every transaction of a runner. ERR_LEASE_LOST; ERR_CANCELLED: a cancel was asked
 * for (its reason in *reason, if not NULL). */
MUST_USE enum result job_fence(struct str *reason, struct db *db, const struct job *job);
/* A final state, in the runner's transaction: completed, failed or cancelled. */
MUST_USE enum result job_end(struct db *db, const struct job *job, struct str status,
                             struct str error);
/* Asks the runner to stop, or ends a job that has none. *running: a runner must act.
 * ERR_NOT_FOUND: no open job. */
MUST_USE enum result job_cancel(bool *running, struct db *db, struct str kind,
                                struct str subject_id, struct str reason);
MUST_USE enum result job_waiting(int64_t *out, struct db *db, struct str kind);

/* A step of a job: what is done is not done again. */
struct step {
    struct str step, status, agent, task_id, text;
    struct json_text result;
    int64_t attempts;
};

/* ERR_NOT_FOUND: never begun. */
MUST_USE enum result step_find(struct step *out, struct db *db, const struct job *job,
                               struct str step);
/* Before the work: status started, attempts + 1. In the runner's transaction. */
MUST_USE enum result step_start(struct db *db, const struct job *job, struct str step,
                                struct str agent, struct str task_id);
/* The running text, about once a second; partial text of a step that was cut. */
MUST_USE enum result step_flush(struct db *db, const struct job *job, struct str step,
                                struct str text, int64_t text_seq);
/* The result, in the transaction that stores what follows from it. Clears losses. */
MUST_USE enum result step_done(struct db *db, const struct job *job, struct str step,
                               struct str status, struct str text, struct json_text result);

#endif
