/* test_supervise.c - real children under a supervisor with short times. */
#include "cli/supervise.h"

#include "common/base/clock.h"
#include "common/base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHILDREN_MAX 4

static const struct supervisor_times quick = {
    .pause_min_us = 20 * US_PER_MS,
    .pause_max_us = 80 * US_PER_MS,
    .long_life_us = 60 * US_PER_S,
    .grace_us = 5 * US_PER_S,
    .probe_us = 5 * US_PER_MS,
    .ready_us = 20 * US_PER_S,
};

static struct {
    struct arena *arena;
    char directory[64];
    const char *told; /* a file that the children write to */
    sigset_t before;
    size_t lines_wanted; /* of what was told, to be ready; 0: never */
    int64_t ready_us;    /* when it was */
} at;

static int open_site(void **state)
{
    (void)state;
    at.arena = arena_new();
    at.lines_wanted = 0;
    snprintf(at.directory, sizeof(at.directory), "/tmp/aragora-test-XXXXXX");
    if (!mkdtemp(at.directory))
        return -1;
    at.told = arena_printf(at.arena, "%s/told", at.directory).at;
    return sigprocmask(SIG_SETMASK, NULL, &at.before);
}

static int close_site(void **state)
{
    (void)state;
    (void)unlink(at.told);
    arena_free(at.arena);
    sigprocmask(SIG_SETMASK, &at.before, NULL); /* the supervisor has blocked some */
    return rmdir(at.directory);
}

static struct str told(void)
{
    struct str text;

    return file_read(&text, at.arena, str_from(at.told), 65536) == OK ? text : STR("");
}

static size_t lines(void)
{
    struct str text = told();
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += text.at[i] == '\n';
    return n;
}

/* The script finds the file's name in $0. */
static void add(struct supervisor *supervisor, const char *script, int stop, int stage)
{
    const char **argv = arena_array(at.arena, 5, sizeof(*argv));

    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = script;
    argv[3] = at.told;
    supervisor_add(supervisor, argv, -1, stop, stage);
}

static bool is_ready(void *context)
{
    (void)context;
    return at.lines_wanted && lines() >= at.lines_wanted;
}

/* Once ready, the test is over. */
static void stop(void *context)
{
    (void)context;
    at.ready_us = monotonic_us();
    assert_int_equal(kill(getpid(), SIGTERM), 0); /* blocked: supervise() takes it */
}

static bool run(const struct supervisor_times *times, const char *script)
{
    struct supervisor *supervisor = supervisor_new(at.arena, times, CHILDREN_MAX);

    add(supervisor, script, SIGTERM, 0);
    return supervise(supervisor, is_ready, stop, NULL);
}

/* The process that told its id has ended, and was waited for. */
static void assert_gone(void)
{
    pid_t pid = (pid_t)strtol(arena_cstr(at.arena, told()), NULL, 10);

    assert_true(pid > 0);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
}

/* The number in the first line, which *text then leaves behind. */
static int64_t take_number(struct str *text)
{
    int64_t number = 0;
    struct str line;

    assert_true(str_split(&line, text, '\n') && str_int(&number, line, 0, INT64_MAX));
    return number;
}

static void a_child_that_dies_at_once_is_started_after_growing_pauses(void **state)
{
    static const int64_t pauses_ms[] = { 20, 40, 80, 80, 80 };

    (void)state;
    at.lines_wanted = COUNT(pauses_ms) + 1;
    assert_true(run(&quick, "date +%s%N >> $0; exit 1"));
    struct str text = told();
    int64_t before_ns = take_number(&text);
    for (size_t i = 0; i < COUNT(pauses_ms); i++) {
        int64_t now_ns = take_number(&text);

        assert_true(now_ns - before_ns >= pauses_ms[i] * 1000000);
        before_ns = now_ns;
    }
}

static void a_long_life_makes_the_pause_short_again(void **state)
{
    struct supervisor_times times = quick;
    int64_t start_us = monotonic_us();

    (void)state;
    times.pause_max_us = 60 * US_PER_S;
    times.long_life_us = 20 * US_PER_MS;
    at.lines_wanted = 10;
    assert_true(run(&times, "echo up >> $0; sleep 0.03; exit 1"));
    assert_true(at.ready_us - start_us < 5 * US_PER_S); /* doubled nine times it were 10 s */
}

/* As a worker that has done its part. */
static void a_child_that_ended_in_order_is_replaced_at_once(void **state)
{
    struct supervisor_times times = quick;
    int64_t start_us = monotonic_us();

    (void)state;
    times.pause_min_us = 10 * US_PER_MS;
    times.pause_max_us = 60 * US_PER_S;
    times.long_life_us = 60 * US_PER_S;
    at.lines_wanted = 8;
    assert_true(run(&times, "echo up >> $0; sleep 0.02; exit 0"));
    assert_true(monotonic_us() - start_us < 5 * US_PER_S); /* doubled pauses would be 1.3 s each */
}

static void a_child_that_ignores_its_signal_is_killed_after_the_grace(void **state)
{
    struct supervisor_times times = quick;

    (void)state;
    times.grace_us = 100 * US_PER_MS;
    at.lines_wanted = 1;
    assert_true(run(&times, "trap '' TERM; echo $$ > $0; exec sleep 60"));
    int64_t spent_us = monotonic_us() - at.ready_us;
    assert_true(spent_us >= times.grace_us && spent_us < 10 * US_PER_S);
    assert_gone();
}

static void a_child_that_heeds_its_signal_is_not_waited_for(void **state)
{
    struct supervisor_times times = quick;

    (void)state;
    times.grace_us = 60 * US_PER_S;
    at.lines_wanted = 1;
    assert_true(run(&times, "echo $$ > $0; exec sleep 60"));
    assert_true(monotonic_us() - at.ready_us < 10 * US_PER_S);
    assert_gone();
}

static void a_stage_is_ended_when_the_one_before_is_gone(void **state)
{
    struct supervisor *supervisor = supervisor_new(at.arena, &quick, CHILDREN_MAX);

    (void)state;
    add(supervisor,
        "trap 'echo back >> $0; exit' TERM; echo up >> $0; while :; do sleep 0.01; done", SIGTERM,
        0);
    add(supervisor,
        "trap 'sleep 0.1; echo web >> $0; exit' INT; echo up >> $0; while :; do sleep 0.01; done",
        SIGINT, 1);
    at.lines_wanted = 2;
    assert_true(supervise(supervisor, is_ready, stop, NULL));
    assert_string_equal(arena_cstr(at.arena, told()), "up\nup\nweb\nback\n");
}

static void a_stop_during_a_pause_starts_nothing_more(void **state)
{
    struct supervisor_times times = quick;

    (void)state;
    times.pause_min_us = times.pause_max_us = 60 * US_PER_S;
    at.lines_wanted = 1;
    assert_true(run(&times, "echo up >> $0"));
    assert_true(monotonic_us() - at.ready_us < 10 * US_PER_S);
    assert_int_equal(lines(), 1);
}

static void what_is_not_ready_in_time_is_ended(void **state)
{
    struct supervisor_times times = quick;
    int64_t start_us = monotonic_us();

    (void)state;
    times.ready_us = 200 * US_PER_MS;
    assert_false(run(&times, "echo $$ > $0; exec sleep 60"));
    assert_true(monotonic_us() - start_us >= times.ready_us);
    assert_gone();
}

static void children_end_with_a_supervisor_that_is_killed(void **state)
{
    pid_t supervisor, child;
    int status;

    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the orphan becomes ours */
    supervisor = fork();
    if (supervisor == 0)
        _exit(run(&quick, "echo $$ > $0; exec sleep 60"));
    while (!lines())
        usleep(5000);
    child = (pid_t)strtol(arena_cstr(at.arena, told()), NULL, 10);
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    assert_int_equal(waitpid(supervisor, &status, 0), supervisor);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_site, close_site)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_that_dies_at_once_is_started_after_growing_pauses),
        TEST(a_long_life_makes_the_pause_short_again),
        TEST(a_child_that_ended_in_order_is_replaced_at_once),
        TEST(a_child_that_ignores_its_signal_is_killed_after_the_grace),
        TEST(a_child_that_heeds_its_signal_is_not_waited_for),
        TEST(a_stage_is_ended_when_the_one_before_is_gone),
        TEST(a_stop_during_a_pause_starts_nothing_more),
        TEST(what_is_not_ready_in_time_is_ended),
        TEST(children_end_with_a_supervisor_that_is_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
