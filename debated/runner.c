/* runner.c - one process that runs debates, each on a thread with a database session to itself.
 *
 * The main thread looks for work each second, and at once when a debate ends or the bus tells of
 * one; another renews all leases. The process holds a lock on DATA/run/<its id> for life: who gets
 * that lock knows that the process is dead, and ends its leases without waiting for them (decision
 * 17). */
#include "debated/runner.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/metrics/series.h"
#include "common/store/attempt.h"
#include "common/store/debate.h"
#include "debated/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOOK_MS      1000
#define EXPIRE_US    (60 * US_PER_S)
#define EXPIRE_MAX   200 /* replies in one transaction */
#define SESSIONS_MAX 10  /* kept for the next debates, with statements and pages */

struct slot { /* one running debate */
    struct runner *runner;
    struct arena *arena;
    struct job job;
    pthread_t thread;
    bool used, finished;
};

struct runner {
    const struct runner_config *config;
    struct arena *arena, *scratch;
    struct db *db; /* the main thread's */
    struct str id, lock_path;
    int lock_fd, wake_fd, signal_fd;
    atomic_bool stop;
    pthread_mutex_t lock; /* of the slots, and for the wake-up of renewing */
    pthread_cond_t ended;
    bool renewing;
    struct slot *slots;
    int64_t expire_due_us;
    struct db *sessions[SESSIONS_MAX]; /* of debates that ended well */
    size_t sessions_count;
};

static void wake(struct runner *runner)
{
    (void)eventfd_write(runner->wake_fd, 1);
}

static struct str lock_path(struct runner *runner, struct arena *arena, struct str id)
{
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(runner->config->directory),
                        STR_ARG(id));
}

static int lock_file(struct arena *arena, struct str path, int flags)
{
    int fd = open(arena_cstr(arena, path), O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* What a debate cannot get over is told to its clients; the rest waits for the next runner. */
static enum result run_debate(struct db *db, struct slot *slot)
{
    const struct runner_config *config = slot->runner->config;
    const struct engine_options options = { .agents = config->agents,
                                            .limit_us = config->debate_limit_us,
                                            .signers = &config->signers,
                                            .stop = &slot->runner->stop };
    enum result result;

    if (slot->job.losses >= LOSSES_MAX)
        return engine_fail(db, &slot->job, STR("The debate lost its runner too often"));
    result = engine_run(db, &slot->job, &options);
    if (result == ERR_PROVIDER_NOT_CONFIGURED)
        return engine_fail(db, &slot->job, str_from(error_row(result)->message));
    if (result != ERR_DEBATE_NOT_FOUND)
        return result;
    db_use(db, slot->arena, slot->job.org_id);
    return job_end(db, &slot->job, STR("failed"), STR("The debate was deleted"));
}

/* The latest that was kept, with its prepared statements, or a new one. */
static enum result session_take(struct db **out, struct runner *runner)
{
    struct db *kept = NULL;

    pthread_mutex_lock(&runner->lock);
    if (runner->sessions_count)
        kept = runner->sessions[--runner->sessions_count];
    pthread_mutex_unlock(&runner->lock);
    if (!kept)
        return db_open(out, &runner->config->database);
    *out = kept;
    return OK;
}

/* What went wrong may be the session's fault: only a good one is kept. */
static void session_give_back(struct runner *runner, struct db *db, bool good)
{
    pthread_mutex_lock(&runner->lock);
    if (good && runner->sessions_count < SESSIONS_MAX) {
        runner->sessions[runner->sessions_count++] = db;
        db = NULL;
    }
    pthread_mutex_unlock(&runner->lock);
    db_close(db);
}

static void *slot_run(void *arg)
{
    struct slot *slot = arg;
    struct runner *runner = slot->runner;
    struct db *db = NULL;
    enum result result = session_take(&db, runner);

    if (result == OK)
        result = run_debate(db, slot);
    bool expected = result == OK || result == ERR_UNAVAILABLE;
    log_event(expected ? LOG_INFO : LOG_WARNING, "debate left", "debate",
              log_str(slot->job.subject_id), "result", error_row(result)->name, "problem",
              db && !expected ? db_problem(db) : "");
    session_give_back(runner, db, result == OK);
    pthread_mutex_lock(&runner->lock);
    slot->finished = true;
    pthread_mutex_unlock(&runner->lock);
    wake(runner);
    return NULL;
}

/* Until the next renewal is due, or there is none any more: false. With the lock. */
static bool renewal_due(struct runner *runner)
{
    int64_t until_us = monotonic_us() + runner->config->renew_us;
    const struct timespec until = { .tv_sec = until_us / US_PER_S,
                                    .tv_nsec = until_us % US_PER_S * 1000 };

    while (runner->renewing && pthread_cond_clockwait(&runner->ended, &runner->lock,
                                                      CLOCK_MONOTONIC, &until) != ETIMEDOUT)
        ;
    return runner->renewing;
}

/* Of struct job, in the arena: a slot's own may end at any time. With the lock. */
static struct list running_jobs(const struct runner *runner, struct arena *arena)
{
    struct job *jobs = arena_array(arena, (size_t)runner->config->debates_max, sizeof(*jobs));
    size_t count = 0;

    for (int64_t i = 0; i < runner->config->debates_max; i++) {
        const struct slot *slot = &runner->slots[i];

        if (slot->used && !slot->finished)
            jobs[count++] = (struct job){ .org_id = arena_str(arena, slot->job.org_id),
                                          .job_id = arena_str(arena, slot->job.job_id),
                                          .fence = slot->job.fence };
    }
    return (struct list){ jobs, count };
}

static void renew(struct runner *runner, struct db *db, struct list jobs)
{
    const struct job *job = jobs.at;

    for (size_t i = 0; i < jobs.count; i++) {
        enum result result = job_renew(db, &job[i], runner->id);

        /* A job that ended meanwhile needs no lease, and one that was lost no word from here:
         * the fence stops the debate. */
        if (result != OK && result != ERR_LEASE_LOST)
            log_event(LOG_WARNING, "lease not renewed", "job", log_str(job[i].job_id), "error",
                      error_row(result)->name, "problem", db_problem(db));
    }
}

/* The lock is not held over a statement: claiming and ending go on while the database is slow. */
static void *renew_leases(void *arg)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;
    struct runner *runner = arg;

    pthread_mutex_lock(&runner->lock);
    while (renewal_due(runner)) {
        arena_reset(arena);
        struct list jobs = running_jobs(runner, arena);
        pthread_mutex_unlock(&runner->lock);
        if (db || db_open(&db, &runner->config->database) == OK) {
            db_use(db, arena, STR_NONE);
            renew(runner, db, jobs);
        }
        pthread_mutex_lock(&runner->lock);
    }
    pthread_mutex_unlock(&runner->lock);
    return NULL;
}

/* On the main thread, which alone takes slots and frees them. */
static void tell_active(const struct runner *runner)
{
    int64_t count = 0;

    for (int64_t i = 0; i < runner->config->debates_max; i++)
        count += runner->slots[i].used;
    series_gauge(METRIC_DEBATES_ACTIVE, count);
}

/* Joins what has finished, or with all set everything. */
static void reap(struct runner *runner, bool all)
{
    for (int64_t i = 0; i < runner->config->debates_max; i++) {
        struct slot *slot = &runner->slots[i];

        pthread_mutex_lock(&runner->lock);
        bool due = slot->used && (all || slot->finished);
        pthread_mutex_unlock(&runner->lock);
        if (!due)
            continue;
        pthread_join(slot->thread, NULL);
        pthread_mutex_lock(&runner->lock);
        arena_free(slot->arena);
        *slot = (struct slot){ .runner = runner };
        pthread_mutex_unlock(&runner->lock);
        tell_active(runner);
    }
}

static struct slot *free_slot(struct runner *runner)
{
    for (int64_t i = 0; i < runner->config->debates_max; i++)
        if (!runner->slots[i].used)
            return &runner->slots[i];
    return NULL;
}

static void slot_start(struct runner *runner, struct slot *slot, struct arena *arena,
                       const struct job *job)
{
    pthread_mutex_lock(&runner->lock);
    *slot = (struct slot){ .runner = runner, .arena = arena, .job = *job, .used = true };
    pthread_mutex_unlock(&runner->lock);
    log_event(LOG_INFO, "debate claimed", "debate", log_str(job->subject_id), "losses",
              log_int(job->losses));
    if (pthread_create(&slot->thread, NULL, slot_run, slot) == 0) {
        tell_active(runner);
        return;
    }
    log_event(LOG_ERROR, "no thread for a debate", "debate", log_str(job->subject_id));
    pthread_mutex_lock(&runner->lock);
    *slot = (struct slot){ .runner = runner }; /* unrenewed, its lease runs out */
    pthread_mutex_unlock(&runner->lock);
    arena_free(arena);
}

static void claim_work(struct runner *runner)
{
    struct slot *slot;

    while ((slot = free_slot(runner))) {
        struct arena *arena = arena_new(); /* the job's strings */
        struct job job;

        db_use(runner->db, arena, STR_NONE);
        enum result result = job_claim(&job, runner->db, runner->id);
        if (result == OK) {
            slot_start(runner, slot, arena, &job);
            continue;
        }
        if (result != ERR_NOT_FOUND)
            log_event(LOG_WARNING, "cannot claim", "error", error_row(result)->name, "problem",
                      db_problem(runner->db));
        arena_free(arena);
        return;
    }
}

static void release_dead(struct runner *runner)
{
    struct list owners;

    arena_reset(runner->scratch);
    db_use(runner->db, runner->scratch, STR_NONE);
    if (job_runners(&owners, runner->db) != OK)
        return; /* the claim that follows logs it */
    for (size_t i = 0; i < owners.count; i++) {
        struct str owner = ((const struct str *)owners.at)[i];
        struct str path = lock_path(runner, runner->scratch, owner);
        int64_t released;

        if (str_eq(owner, runner->id) || !field_matches(PATTERN_ID, owner))
            continue;
        int fd = lock_file(runner->scratch, path, 0);
        if (fd < 0)
            continue; /* alive, or of another host */
        if (job_release_runner(&released, runner->db, owner) == OK) {
            log_event(LOG_WARNING, "dead runner", "runner", log_str(owner), "jobs",
                      log_int(released));
            (void)unlink(arena_cstr(runner->scratch, path));
        }
        close(fd);
    }
}

/* A batch a minute; while batches are full, one each time that work is looked for. */
static void expire_replies(struct runner *runner)
{
    int64_t removed = 0, now_us = monotonic_us();

    if (!runner->config->reply_term_us || now_us < runner->expire_due_us)
        return;
    arena_reset(runner->scratch);
    db_use(runner->db, runner->scratch, STR_NONE);
    enum result result =
        attempt_expire(&removed, runner->db, runner->config->reply_term_us, EXPIRE_MAX);
    if (result != OK)
        log_event(LOG_WARNING, "old replies not removed", "error", error_row(result)->name);
    if (removed < EXPIRE_MAX)
        runner->expire_due_us = now_us + EXPIRE_US;
}

/* What the news say does not matter: the claim that follows looks for itself. */
static void hear_news(struct bus *jobs)
{
    struct str head, body;

    while (jobs && bus_receive(jobs, &head, &body))
        ;
}

static void work(struct runner *runner)
{
    struct bus *jobs = runner->config->jobs;
    struct pollfd fds[] = { { runner->signal_fd, POLLIN, 0 },
                            { runner->wake_fd, POLLIN, 0 },
                            { jobs ? bus_descriptor(jobs) : -1, POLLIN, 0 } };

    while (!atomic_load(&runner->stop)) {
        eventfd_t woken;

        hear_news(jobs);
        reap(runner, false);
        release_dead(runner);
        claim_work(runner);
        expire_replies(runner);
        if (poll(fds, COUNT(fds), LOOK_MS) <= 0)
            continue;
        if (fds[1].revents)
            (void)eventfd_read(runner->wake_fd, &woken);
        if (fds[0].revents)
            atomic_store(&runner->stop, true);
    }
}

static enum result runner_open(struct runner *runner)
{
    sigset_t signals;

    descriptors_raise(); /* a debate has a session, and a connection for each call under way */
    runner->id = id_random(runner->arena, "run_", 32);
    runner->lock_path = lock_path(runner, runner->arena, runner->id);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    runner->lock_fd = lock_file(runner->arena, runner->lock_path, O_CREAT | O_EXCL);
    runner->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    runner->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (runner->lock_fd < 0 || runner->signal_fd < 0 || runner->wake_fd < 0)
        return ERR_SYSTEM;
    return db_open(&runner->db, &runner->config->database);
}

static void runner_close(struct runner *runner)
{
    db_close(runner->db);
    while (runner->sessions_count)
        db_close(runner->sessions[--runner->sessions_count]);
    if (runner->lock_fd >= 0) {
        (void)unlink(arena_cstr(runner->arena, runner->lock_path));
        close(runner->lock_fd);
    }
    if (runner->signal_fd >= 0)
        close(runner->signal_fd);
    if (runner->wake_fd >= 0)
        close(runner->wake_fd);
    pthread_cond_destroy(&runner->ended);
    pthread_mutex_destroy(&runner->lock);
}

static enum result serve(struct runner *runner)
{
    pthread_t renewer;

    TRY(runner_open(runner));
    runner->renewing = true;
    if (pthread_create(&renewer, NULL, renew_leases, runner) != 0)
        return ERR_SYSTEM;
    log_event(LOG_INFO, "ready", "runner", log_str(runner->id));
    work(runner);
    log_event(LOG_INFO, "stopping", "runner", log_str(runner->id));
    reap(runner, true);
    pthread_mutex_lock(&runner->lock);
    runner->renewing = false;
    pthread_cond_signal(&runner->ended);
    pthread_mutex_unlock(&runner->lock);
    pthread_join(renewer, NULL);
    db_use(runner->db, runner->scratch, STR_NONE);
    return job_give_back(runner->db, runner->id);
}

enum result runner_serve(const struct runner_config *config)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(arena_cleanup) struct arena *scratch = arena_new();
    struct runner runner = { .config = config,
                             .arena = arena,
                             .scratch = scratch,
                             .lock_fd = -1,
                             .wake_fd = -1,
                             .signal_fd = -1,
                             .lock = PTHREAD_MUTEX_INITIALIZER,
                             .ended = PTHREAD_COND_INITIALIZER };

    runner.slots = arena_array(arena, (size_t)config->debates_max, sizeof(*runner.slots));
    enum result result = serve(&runner);
    runner_close(&runner);
    return result;
}
