/* test_runner.c - a whole runner in this process, beside the test. */
#include "debated/runner.h"

#include "common/auth/principal.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/store/debate.h"
#include "common/store/job.h"
#include "tests/unit/databases.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct runner_config config = {
    .agents = { .demo_pause_us = 5 * US_PER_MS },
    .debates_max = 2,
    .debate_limit_us = 900 * US_PER_S,
    .renew_us = 20 * US_PER_MS,
};

static int open_runner(void **state)
{
    sigset_t signals;

    log_open("test_runner", LOG_ERROR, LOG_TEXT);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* in all threads */
    if (open_sqlite(state) != 0)
        return -1;
    config.database = at.config;
    config.directory = arena_printf(at.arena, "%s/run", at.directory);
    return mkdir(config.directory.at, 0700) == 0 &&
                   receipt_signers_open(&config.signers, at.arena, at.db) == OK
               ? 0
               : -1;
}

/* The directory is empty: a runner takes its lock file with it. */
static int close_runner(void **state)
{
    return rmdir(config.directory.at) == 0 ? close_databases(state) : -1;
}

static void start_debate(void)
{
    db_use(at.db, at.arena, ORG_DEFAULT);
    (void)two_agents_debate("majority");
}

static void *serve(void *arg)
{
    *(enum result *)arg = runner_serve(&config);
    return NULL;
}

struct lease {
    int64_t until;
};

static const struct field lease_row[] = { { FIELD(struct lease, until) }, { 0 } };

/* Waits until the only job's lease ends later than then. */
static int64_t lease_after(int64_t then_us)
{
    int64_t give_up_us = monotonic_us() + 20 * US_PER_S;
    struct lease lease = { 0 };

    while (lease.until <= then_us && monotonic_us() < give_up_us) {
        assert_int_equal(db_one(&lease, at.db, lease_row, ERR_NOT_FOUND,
                                "SELECT COALESCE(lease_until, 0) FROM jobs WHERE org_id = $1",
                                NO_BINDS),
                         OK);
        usleep(5000);
    }
    assert_true(lease.until > then_us);
    return lease.until;
}

static void a_lease_is_renewed_while_its_debate_runs_and_ends_with_its_runner(void **state)
{
    enum result result = ERR_INTERNAL;
    pthread_t thread;
    struct job job;

    (void)state;
    start_debate();
    assert_int_equal(pthread_create(&thread, NULL, serve, &result), 0);
    (void)lease_after(lease_after(lease_after(0)));
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(result, OK);
    assert_int_equal(job_claim(&job, at.db, STR("run_next")), OK); /* without waiting for it */
}

static void many_debates_may_have_more_descriptors_than_a_process_starts_with(void **state)
{
    enum result result = ERR_INTERNAL;
    struct rlimit limit;
    pthread_t thread;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max / 2;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(kill(getpid(), SIGTERM), 0); /* it ends as soon as it is ready */
    assert_int_equal(pthread_create(&thread, NULL, serve, &result), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(result, OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_renewed_while_its_debate_runs_and_ends_with_its_runner),
        cmocka_unit_test(many_debates_may_have_more_descriptors_than_a_process_starts_with),
    };

    return cmocka_run_group_tests(tests, open_runner, close_runner);
}
