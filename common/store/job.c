#include "common/store/job.h"

#include "common/base/id.h"

static const struct field job_row[] = {
    { FIELD(struct job, org_id) },
    { FIELD(struct job, job_id) },
    { FIELD(struct job, kind) },
    { FIELD(struct job, subject_id) },
    { FIELD(struct job, payload) },
    { FIELD(struct job, lease_owner) },
    { FIELD(struct job, fence) },
    { FIELD(struct job, losses) },
    { 0 },
};

struct number {
    int64_t value;
};

static const struct field number_row[] = { { FIELD(struct number, value) }, { 0 } };

struct text {
    struct str value;
};

static const struct field text_row[] = { { FIELD(struct text, value) }, { 0 } };

/* Set once at start, before any thread. */
static struct {
    void (*fn)(void *arg);
    void *arg;
} listener;

void job_listen(void (*fn)(void *arg), void *arg)
{
    listener.fn = fn;
    listener.arg = arg;
}

static void announce(void *object)
{
    (void)object;
    if (listener.fn)
        listener.fn(listener.arg);
}

enum result job_insert(struct db *db, struct str kind, struct str subject_id,
                       struct json_text payload)
{
    tx_after(db, announce, NULL);
    return db_run(NULL, db,
                  "INSERT INTO jobs (org_id, job_id, kind, subject_id, payload, status, due_at,"
                  " created_at) VALUES ($1, $2, $3, $4, $5, 'pending', (SELECT now_us()),"
                  " (SELECT now_us()))",
                  BIND(id_new(db_arena(db), "job_"), kind, subject_id, payload));
}

/* Two queries find a job, each by its index: the pending and those of a lease that ended. */
static enum result next_job(struct job *out, struct db *db)
{
    enum result result =
        db_one(out, db, job_row, ERR_NOT_FOUND,
               "SELECT org_id, job_id, kind, subject_id, payload, lease_owner, fence, losses"
               " FROM jobs WHERE status = 'running' AND lease_until < (SELECT now_us())"
               " ORDER BY lease_until LIMIT 1 /* FOR UPDATE SKIP LOCKED */",
               NO_BINDS);

    if (result != ERR_NOT_FOUND)
        return result;
    return db_one(out, db, job_row, ERR_NOT_FOUND,
                  "SELECT org_id, job_id, kind, subject_id, payload, lease_owner, fence, losses"
                  " FROM jobs WHERE status = 'pending' AND due_at <= (SELECT now_us())"
                  " ORDER BY priority DESC, due_at LIMIT 1 /* FOR UPDATE SKIP LOCKED */",
                  NO_BINDS);
}

enum result job_claim(struct job *out, struct db *db, struct str runner)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct job job;

    TRY(tx_begin(&tx, db));
    TRY(next_job(&job, db_system(db)));
    if (job.lease_owner.at)
        job.losses++;
    job.fence++;
    TRY(db_run(NULL, db_system(db),
               "UPDATE jobs SET status = 'running', lease_owner = $3,"
               " lease_until = (SELECT now_us()) + $4, fence = $5, losses = $6"
               " WHERE org_id = $1 AND job_id = $2",
               BIND(job.org_id, job.job_id, runner, LEASE_TERM_US, job.fence, job.losses)));
    TRY(tx_commit(&tx));
    *out = job;
    return OK;
}

enum result job_release_runner(int64_t *released, struct db *db, struct str runner)
{
    return db_run(released, db_system(db),
                  "UPDATE jobs SET lease_until = 0 WHERE status = 'running' AND lease_owner = $1",
                  BIND(runner));
}

enum result job_give_back(struct db *db, struct str runner)
{
    return db_run(NULL, db_system(db),
                  "UPDATE jobs SET status = 'pending', lease_owner = NULL, lease_until = NULL,"
                  " fence = fence + 1 WHERE status = 'running' AND lease_owner = $1",
                  BIND(runner));
}

enum result job_runners(struct list *out, struct db *db)
{
    return db_all(out, db_system(db), text_row, sizeof(struct str),
                  "SELECT DISTINCT lease_owner FROM jobs WHERE status = 'running'", NO_BINDS);
}

enum result job_renew(struct db *db, const struct job *job, struct str runner)
{
    int64_t changed;

    TRY(db_run(&changed, db_system(db),
               "UPDATE jobs SET lease_until = (SELECT now_us()) + $3 WHERE org_id = $1"
               " AND job_id = $2 AND fence = $4 AND lease_owner = $5 AND status = 'running'",
               BIND(job->org_id, job->job_id, LEASE_TERM_US, job->fence, runner)));
    return changed ? OK : ERR_LEASE_LOST;
}

enum result job_fence(struct str *reason, struct db *db, const struct job *job)
{
    struct text cancel;

    TRY(db_one(&cancel, db, text_row, ERR_LEASE_LOST,
               "UPDATE jobs SET fence = fence WHERE org_id = $1 AND job_id = $2 AND fence = $3"
               " AND status = 'running' RETURNING cancel",
               BIND(job->job_id, job->fence)));
    if (!cancel.value.at)
        return OK;
    if (reason)
        *reason = cancel.value;
    return ERR_CANCELLED;
}

enum result job_end(struct db *db, const struct job *job, struct str status, struct str error)
{
    int64_t changed;

    TRY(db_run(&changed, db,
               "UPDATE jobs SET status = $4, error = $5, ended_at = (SELECT now_us()),"
               " lease_owner = NULL, lease_until = NULL WHERE org_id = $1 AND job_id = $2"
               " AND fence = $3 AND ended_at IS NULL",
               BIND(job->job_id, job->fence, status, error)));
    return changed ? OK : ERR_LEASE_LOST;
}

enum result job_cancel(bool *running, struct db *db, struct str kind, struct str subject_id,
                       struct str reason)
{
    struct text status;

    /* A job without a runner ends here; its fence moves on, so that a runner that claims it at
     * the same moment writes nothing. */
    TRY(db_one(&status, db, text_row, ERR_NOT_FOUND,
               "UPDATE jobs SET cancel = $4,"
               " fence = CASE WHEN status = 'running' THEN fence ELSE fence + 1 END,"
               " ended_at = CASE WHEN status = 'running' THEN NULL ELSE (SELECT now_us()) END,"
               " status = CASE WHEN status = 'running' THEN status ELSE 'cancelled' END"
               " WHERE org_id = $1 AND kind = $2 AND subject_id = $3 AND ended_at IS NULL"
               " RETURNING status",
               BIND(kind, subject_id, reason)));
    *running = str_is(status.value, "running");
    return OK;
}

enum result job_waiting(int64_t *out, struct db *db, struct str kind)
{
    struct number count;

    TRY(db_one(&count, db_system(db), number_row, ERR_INTERNAL,
               "SELECT COUNT(*) FROM jobs WHERE status = 'pending' AND kind = $1", BIND(kind)));
    *out = count.value;
    return OK;
}

static const struct field step_row[] = {
    { FIELD(struct step, step) },     { FIELD(struct step, status) },
    { FIELD(struct step, agent) },    { FIELD(struct step, task_id) },
    { FIELD(struct step, text) },     { FIELD(struct step, result) },
    { FIELD(struct step, attempts) }, { 0 },
};

enum result step_find(struct step *out, struct db *db, const struct job *job, struct str step)
{
    return db_one(out, db, step_row, ERR_NOT_FOUND,
                  "SELECT step, status, agent, task_id, text, result, attempts FROM job_steps"
                  " WHERE org_id = $1 AND job_id = $2 AND step = $3",
                  BIND(job->job_id, step));
}

enum result step_start(struct db *db, const struct job *job, struct str step, struct str agent,
                       struct str task_id)
{
    return db_run(NULL, db,
                  "INSERT INTO job_steps (org_id, job_id, step, status, agent, task_id, attempts,"
                  " updated_at) VALUES ($1, $2, $3, 'started', $4, $5, 1, (SELECT now_us()))"
                  " ON CONFLICT (org_id, job_id, step) DO UPDATE SET"
                  " attempts = job_steps.attempts + 1, text = NULL, text_seq = 0,"
                  " status = 'started', updated_at = excluded.updated_at",
                  BIND(job->job_id, step, agent, task_id));
}

enum result step_flush(struct db *db, const struct job *job, struct str step, struct str text,
                       int64_t text_seq)
{
    return db_run(NULL, db,
                  "UPDATE job_steps SET text = $4, text_seq = $5, updated_at = (SELECT now_us())"
                  " WHERE org_id = $1 AND job_id = $2 AND step = $3 AND status = 'started'",
                  BIND(job->job_id, step, text, text_seq));
}

enum result step_done(struct db *db, const struct job *job, struct str step, struct str status,
                      struct str text, struct json_text result)
{
    TRY(db_run(NULL, db,
               "INSERT INTO job_steps (org_id, job_id, step, status, text, result, attempts,"
               " updated_at) VALUES ($1, $2, $3, $4, $5, $6, 1, (SELECT now_us()))"
               " ON CONFLICT (org_id, job_id, step) DO UPDATE SET status = excluded.status,"
               " text = excluded.text, result = excluded.result,"
               " updated_at = excluded.updated_at",
               BIND(job->job_id, step, status, text, result)));
    return db_run(NULL, db, "UPDATE jobs SET losses = 0 WHERE org_id = $1 AND job_id = $2",
                  BIND(job->job_id));
}
