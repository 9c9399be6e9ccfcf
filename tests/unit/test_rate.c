/* test_rate.c - rate limits over several processes. */
#include "common/base/clock.h"
#include "common/metrics/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static struct segment *segment;

static int open_segment(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/aragora-test-XXXXXX");
    return mkdtemp(directory) && segment_open(&segment, directory) == OK ? 0 : -1;
}

static int close_segment(void **state)
{
    (void)state;
    segment_close(segment);
    segment_remove(directory);
    return rmdir(directory);
}

static void the_burst_passes_and_then_the_rate(void **state)
{
    const struct rate rate = { .per_minute = 60, .burst = 3 };
    int64_t now = 1000 * US_PER_S;
    struct rate_answer answer;

    (void)state;
    for (int i = 2; i >= 0; i--) {
        answer = rate_take(segment, STR("t1"), STR("a"), rate, now);
        assert_true(answer.allowed);
        assert_int_equal(answer.remaining, i);
    }
    answer = rate_take(segment, STR("t1"), STR("a"), rate, now);
    assert_false(answer.allowed);
    assert_int_equal(answer.retry_after_us, US_PER_S);
    assert_true(rate_take(segment, STR("t1"), STR("b"), rate, now).allowed); /* another client */
    assert_true(rate_take(segment, STR("t2"), STR("a"), rate, now).allowed); /* another limit */
    assert_true(rate_take(segment, STR("t1"), STR("a"), rate, now + US_PER_S).allowed);
    assert_false(rate_take(segment, STR("t1"), STR("a"), rate, now + US_PER_S).allowed);
    answer = rate_take(segment, STR("t1"), STR("a"), rate, now + 60 * US_PER_S);
    assert_int_equal(answer.remaining, 2); /* full, never more than full */
}

static void what_is_given_back_can_be_taken_again(void **state)
{
    const struct rate rate = { .per_minute = 60, .burst = 2 };
    int64_t now = 2000 * US_PER_S;

    (void)state;
    rate_give_back(segment, STR("t6"), STR("a"), rate); /* nobody has taken any */
    assert_int_equal(rate_take(segment, STR("t6"), STR("a"), rate, now).remaining, 1);
    assert_int_equal(rate_take(segment, STR("t6"), STR("a"), rate, now).remaining, 0);
    rate_give_back(segment, STR("t6"), STR("a"), rate);
    assert_true(rate_take(segment, STR("t6"), STR("a"), rate, now).allowed);
    assert_false(rate_take(segment, STR("t6"), STR("a"), rate, now).allowed);
    rate_give_back(segment, STR("t6"), STR("a"), rate);
    rate_give_back(segment, STR("t6"), STR("a"), rate);
    rate_give_back(segment, STR("t6"), STR("a"), rate);
    assert_int_equal(rate_take(segment, STR("t6"), STR("a"), rate, now).remaining, 1); /* full */
}

static void a_new_segment_over_an_old_file_keeps_the_buckets(void **state)
{
    const struct rate rate = { .per_minute = 1, .burst = 1 };
    struct segment *again;

    (void)state;
    assert_true(rate_take(segment, STR("t3"), STR("a"), rate, monotonic_us()).allowed);
    assert_int_equal(segment_open(&again, directory), OK);
    assert_false(rate_take(again, STR("t3"), STR("a"), rate, monotonic_us()).allowed);
    segment_close(again);
}

#define PROCESSES 4
#define TAKES     200000

/* Each process counts what passed for the one client; the sum is exact. */
static void processes_at_once_pass_no_more_than_burst_and_rate(void **state)
{
    const struct rate rate = { .per_minute = 60000, .burst = 100 }; /* one a millisecond */
    int counts[2];
    int64_t total = 0, from = monotonic_us();

    (void)state;
    assert_int_equal(pipe(counts), 0);
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            int64_t passed = 0;

            for (int take = 0; take < TAKES; take++)
                passed += rate_take(segment, STR("t4"), STR("a"), rate, monotonic_us()).allowed;
            _exit(write(counts[1], &passed, sizeof(passed)) == sizeof(passed) ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int64_t passed;
        int status;

        assert_int_equal(read(counts[0], &passed, sizeof(passed)), sizeof(passed));
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
        total += passed;
    }
    int64_t elapsed_ms = (monotonic_us() - from) / US_PER_MS;
    assert_true(total <= 100 + elapsed_ms + 1);
    assert_true(total >= 100);
    close(counts[0]);
    close(counts[1]);
}

static void more_clients_than_places_are_all_served(void **state)
{
    const struct rate rate = { .per_minute = 1, .burst = 1 };
    char name[32];

    (void)state;
    for (int i = 0; i < 3 * BUCKETS; i++) {
        snprintf(name, sizeof(name), "client-%d", i);
        assert_true(rate_take(segment, STR("t5"), str_from(name), rate, monotonic_us()).allowed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_burst_passes_and_then_the_rate),
        cmocka_unit_test(what_is_given_back_can_be_taken_again),
        cmocka_unit_test(a_new_segment_over_an_old_file_keeps_the_buckets),
        cmocka_unit_test(processes_at_once_pass_no_more_than_burst_and_rate),
        cmocka_unit_test(more_clients_than_places_are_all_served),
    };

    return cmocka_run_group_tests(tests, open_segment, close_segment);
}
