/* test_metrics.c - counters of several processes, and their text. */
#include "common/metrics/answers.h"
#include "common/metrics/metrics.h"
#include "common/metrics/series.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char directory[64];
    struct segment *segment;
    const char *endpoints[ENDPOINTS];
    struct buf text;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (!f)
        return -1;
    *state = f;
    snprintf(f->directory, sizeof(f->directory), "/tmp/aragora-test-XXXXXX");
    return mkdtemp(f->directory) && segment_open(&f->segment, f->directory) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    segment_close(f->segment);
    segment_remove(f->directory);
    int gone = rmdir(f->directory);
    buf_free(&f->text);
    free(f);
    return gone;
}

static size_t endpoint(struct fixture *f, const char *path)
{
    size_t place = answers_endpoint(f->segment, str_from(path));

    f->endpoints[place] = path;
    return place;
}

static const char *text(struct fixture *f)
{
    buf_clear(&f->text);
    metrics_write(&f->text, f->segment, f->endpoints);
    buf_char(&f->text, '\0');
    return f->text.at;
}

/* Of the series, which stands at the begin of a line; -1: not there. */
static long long sample(const char *text, const char *series)
{
    size_t len = strlen(series);

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) == 0 && line[len] == ' ')
            return strtoll(line + len, NULL, 10);
    }
    return -1;
}

static long long sum_of_requests(const char *text)
{
    const char *name = "\naragora_http_requests_total{";
    long long sum = 0;

    for (const char *line = strstr(text, name); line; line = strstr(line + 1, name))
        sum += strtoll(strchr(line, '}') + 1, NULL, 10);
    return sum;
}

#define ROUTE_LABELS "method=\"POST\",endpoint=\"/api/v1/debates/{id}\",status=\"200\""
#define REST_LABELS  "method=\"OTHER\",endpoint=\"other\",status=\"other\""
#define REQUESTS     "aragora_http_requests_total"
#define DURATION     "aragora_http_request_duration_seconds"
#define LATENCY      "aragora_http_request_latency_seconds"

static void the_text_is_as_prometheus_reads_it(void **state)
{
    struct fixture *f = *state;

    answers_count(f->segment, endpoint(f, "/api/v1/debates/{id}"), ANSWER_POST, 200, 30000);
    metric_add(f->segment, METRIC_RATE_LIMIT_HITS_CREATE, 2);
    metric_set(f->segment, METRIC_RATE_LIMIT_TOKENS_TRACKED, 9);
    metric_set(f->segment, METRIC_RATE_LIMIT_TOKENS_TRACKED, 7);
    static const char begins[] =
        "# HELP " REQUESTS " HTTP requests answered.\n"
        "# TYPE " REQUESTS " counter\n" REQUESTS "{" ROUTE_LABELS "} 1\n"
        "# HELP " DURATION " Time from a request's arrival at a worker to its answer.\n"
        "# TYPE " DURATION " histogram\n" DURATION "_bucket{" ROUTE_LABELS
        ",le=\"0.01\"} 0\n" DURATION "_bucket{" ROUTE_LABELS ",le=\"0.05\"} 1\n" DURATION
        "_bucket{" ROUTE_LABELS ",le=\"0.1\"} 1\n" DURATION "_bucket{" ROUTE_LABELS
        ",le=\"0.25\"} 1\n" DURATION "_bucket{" ROUTE_LABELS ",le=\"0.5\"} 1\n" DURATION
        "_bucket{" ROUTE_LABELS ",le=\"1\"} 1\n" DURATION "_bucket{" ROUTE_LABELS
        ",le=\"2.5\"} 1\n" DURATION "_bucket{" ROUTE_LABELS ",le=\"5\"} 1\n" DURATION
        "_bucket{" ROUTE_LABELS ",le=\"10\"} 1\n" DURATION "_bucket{" ROUTE_LABELS
        ",le=\"+Inf\"} 1\n" DURATION "_sum{" ROUTE_LABELS "} 0.030000\n" DURATION
        "_count{" ROUTE_LABELS "} 1\n"
        "# HELP " LATENCY " The same by endpoint alone, with finer buckets.\n"
        "# TYPE " LATENCY " histogram\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"0.001\"} 0\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"0.005\"} 0\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"0.01\"} 0\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"0.025\"} 0\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"0.05\"} 1\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"0.1\"} 1\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"0.25\"} 1\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"0.5\"} 1\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"1\"} 1\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"2.5\"} 1\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"5\"} 1\n" LATENCY
        "_bucket{endpoint=\"/api/v1/debates/{id}\",le=\"+Inf\"} 1\n" LATENCY
        "_sum{endpoint=\"/api/v1/debates/{id}\"} 0.030000\n" LATENCY
        "_count{endpoint=\"/api/v1/debates/{id}\"} 1\n"
        "# HELP aragora_rate_limit_hits_total Requests refused by a rate limit.\n"
        "# TYPE aragora_rate_limit_hits_total counter\n"
        "aragora_rate_limit_hits_total{limit_type=\"default\"} 0\n"
        "aragora_rate_limit_hits_total{limit_type=\"create\"} 2\n"
        "# HELP aragora_rate_limit_tokens_tracked Clients whose rate limit is not full again yet.\n"
        "# TYPE aragora_rate_limit_tokens_tracked gauge\n"
        "aragora_rate_limit_tokens_tracked 7\n"
        "# HELP aragora_draining_until_timestamp_seconds When a server that was told to stop will"
        " do so, and until then says that it is not ready; 0 or past: none was.\n"
        "# TYPE aragora_draining_until_timestamp_seconds gauge\n"
        "aragora_draining_until_timestamp_seconds 0\n"
        "# HELP aragora_trace_spans_exported_total Spans that the collector took.\n"
        "# TYPE aragora_trace_spans_exported_total counter\n"
        "aragora_trace_spans_exported_total 0\n"
        "# HELP aragora_trace_spans_dropped_total Spans that were not exported: too many waited, or"
        " the collector did not take them.\n"
        "# TYPE aragora_trace_spans_dropped_total counter\n"
        "aragora_trace_spans_dropped_total{reason=\"full\"} 0\n"
        "aragora_trace_spans_dropped_total{reason=\"refused\"} 0\n"; /* more follows */

    assert_memory_equal(text(f), begins, sizeof(begins) - 1);
}

static void a_time_counts_up_to_its_bound_and_not_above(void **state)
{
    static const struct {
        int64_t took_us;
        const char *below, *from; /* le of the last bucket without it, of the first with it */
    } cases[] = {
        { 10000, NULL, "0.01" },     { 10001, "0.01", "0.05" }, { 100000, "0.05", "0.1" },
        { 2500001, "2.5", "5" },     { 10000000, "5", "10" },   { 10000001, "10", "+Inf" },
        { 999999999, "10", "+Inf" }, { 0, NULL, "0.01" },
    };
    struct fixture *f = *state;
    char path[16], series[128];

    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(path, sizeof(path), "/%zu", i);
        answers_count(f->segment, endpoint(f, path), ANSWER_GET, 200, cases[i].took_us);
        const char *all = text(f);
        f->endpoints[answers_endpoint(f->segment, str_from(path))] = NULL;
        for (int from = 0; from < 2; from++) {
            const char *le = from ? cases[i].from : cases[i].below;

            snprintf(series, sizeof(series),
                     DURATION "_bucket{method=\"GET\",endpoint=\"%s\",status=\"200\",le=\"%s\"}",
                     path, le ? le : "");
            if (le && sample(all, series) != from)
                fail_msg("%lld us, le %s", (long long)cases[i].took_us, le);
        }
    }
}

static void latency_sums_all_answers_of_an_endpoint(void **state)
{
    struct fixture *f = *state;
    size_t a = endpoint(f, "/a");

    answers_count(f->segment, a, ANSWER_GET, 200, 500);
    answers_count(f->segment, a, ANSWER_GET, 404, 1500000);
    answers_count(f->segment, a, ANSWER_DELETE, 200, 2000000);
    answers_count(f->segment, endpoint(f, "/b"), ANSWER_GET, 200, 500);
    assert_int_equal(sample(text(f), LATENCY "_bucket{endpoint=\"/a\",le=\"0.001\"}"), 1);
    assert_int_equal(sample(text(f), LATENCY "_bucket{endpoint=\"/a\",le=\"+Inf\"}"), 3);
    assert_non_null(strstr(text(f), LATENCY "_sum{endpoint=\"/a\"} 3.500500\n"));
}

static void an_unlisted_status_and_an_unknown_route_are_other(void **state)
{
    struct fixture *f = *state;

    answers_count(f->segment, endpoint(f, "/a"), ANSWER_GET, 299, 1);
    answers_count(f->segment, ENDPOINT_OTHER, ANSWER_GET, 404, 1);
    answers_count(f->segment, ENDPOINT_OTHER, ANSWER_OTHER, -1, 1);
    assert_int_equal(sample(text(f), REQUESTS "{method=\"GET\",endpoint=\"/a\",status=\"other\"}"),
                     1);
    assert_int_equal(sample(text(f), REQUESTS "{method=\"GET\",endpoint=\"other\",status=\"404\"}"),
                     1);
    assert_int_equal(sample(text(f), REQUESTS "{" REST_LABELS "}"), 1);
}

static void an_endpoint_keeps_its_place_beside_other_releases(void **state)
{
    struct fixture *f = *state;
    size_t a = endpoint(f, "/a"), b = endpoint(f, "/b");
    struct segment *again;

    assert_int_not_equal(a, b);
    assert_int_equal(segment_open(&again, f->directory), OK);
    assert_int_not_equal(answers_endpoint(again, STR("/new")), a);
    assert_int_equal(answers_endpoint(again, STR("/b")), b);
    assert_int_equal(answers_endpoint(again, STR("/a")), a);
    segment_close(again);
}

static void without_room_answers_count_as_other(void **state)
{
    struct fixture *f = *state;
    char path[16];

    for (int i = 0; i < ENDPOINTS - 1; i++) {
        snprintf(path, sizeof(path), "/%d", i);
        assert_int_not_equal(answers_endpoint(f->segment, str_from(path)), ENDPOINT_OTHER);
    }
    assert_int_equal(answers_endpoint(f->segment, STR("/one-more")), ENDPOINT_OTHER);
    assert_int_not_equal(answers_endpoint(f->segment, STR("/0")), ENDPOINT_OTHER);

    for (size_t i = 0; i < ENDPOINTS; i++) {
        f->endpoints[i] = "/any";
        for (int method = 0; method < ANSWER_METHODS; method++)
            answers_count(f->segment, i, (enum answer_method)method, 200, 1);
    }
    assert_int_equal(sum_of_requests(text(f)), ENDPOINTS * ANSWER_METHODS);
    assert_int_equal(sample(text(f), REQUESTS "{" REST_LABELS "}"),
                     ENDPOINTS * ANSWER_METHODS - (SERIES - 1));
}

static void a_segment_that_is_not_there_counts_nothing(void **state)
{
    (void)state;
    metric_add(NULL, METRIC_RATE_LIMIT_HITS_DEFAULT, 1);
    metric_set(NULL, METRIC_RATE_LIMIT_TOKENS_TRACKED, 1);
}

static void labels_are_escaped_and_bounded(void **state)
{
    struct fixture *f = *state;

    series_use(f->segment);
    series_add(METRIC_WS_MESSAGES, LABELS(STR("sent"), STR("a\"b\\c\nd")), 2);
    series_add(METRIC_WS_MESSAGES, LABELS(STR("sent"), STR("\xff")), 3);
    assert_int_equal(sample(text(f), "aragora_websocket_messages_total{direction=\"sent\","
                                     "message_type=\"a\\\"b\\\\c\\nd\"}"),
                     2);
    assert_int_equal(sample(text(f), "aragora_websocket_messages_total{direction=\"sent\","
                                     "message_type=\"other\"}"),
                     3);
    series_use(NULL);
}

static void what_a_client_makes_up_cannot_fill_the_table(void **state)
{
    struct fixture *f = *state;
    char name[24];

    series_use(f->segment);
    for (int i = 0; i < 3 * SERIES_MAX; i++) {
        snprintf(name, sizeof(name), "model-%d", i);
        series_add(METRIC_COST, LABELS(STR("ollama"), str_from(name)), 1500000);
    }
    series_add(METRIC_DEBATES, LABELS(STR("error")), 1);
    assert_non_null(strstr(text(f), "{provider=\"ollama\",model=\"model-0\"} 1.500000\n"));
    assert_null(strstr(f->text.at, "model=\"model-401\""));
    assert_int_equal(sample(f->text.at, "aragora_cost_usd_total{provider=\"other\","
                                        "model=\"other\"}"),
                     2 * SERIES_MAX * 3 / 2);
    assert_int_equal(sample(f->text.at, "aragora_debates_total{outcome=\"error\"}"), 1);
    series_use(NULL);
}

static void histograms_of_series_are_cumulative(void **state)
{
    struct fixture *f = *state;
    static const int64_t values[] = { 1, 3, 3, 11 };

    series_use(f->segment);
    for (size_t i = 0; i < COUNT(values); i++)
        series_add(METRIC_DEBATE_ROUNDS, LABELS(STR("consensus")), values[i]);
#define ROUNDS(suffix, le) "aragora_debate_rounds_total" suffix "{outcome=\"consensus\"" le "}"
    assert_int_equal(sample(text(f), ROUNDS("_bucket", ",le=\"1\"")), 1);
    assert_int_equal(sample(f->text.at, ROUNDS("_bucket", ",le=\"3\"")), 3);
    assert_int_equal(sample(f->text.at, ROUNDS("_bucket", ",le=\"10\"")), 3);
    assert_int_equal(sample(f->text.at, ROUNDS("_bucket", ",le=\"+Inf\"")), 4);
    assert_int_equal(sample(f->text.at, ROUNDS("_sum", "")), 18);
    assert_int_equal(sample(f->text.at, ROUNDS("_count", "")), 4);
    series_use(NULL);
}

static void a_gauge_is_the_sum_of_those_who_live(void **state)
{
    struct fixture *f = *state;

    series_use(f->segment);
    series_gauge(METRIC_DEBATES_ACTIVE, 2);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        series_gauge(METRIC_DEBATES_ACTIVE, 5);
        _exit(0);
    }
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(sample(text(f), "aragora_active_debates"), 7); /* not yet buried */
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(sample(text(f), "aragora_active_debates"), 2);
    series_gauge(METRIC_DEBATES_ACTIVE, 0);
    assert_int_equal(sample(text(f), "aragora_active_debates"), 0);
    series_use(NULL);
}

#define PROCESSES 4
#define PATHS     3000 /* of one kind each */
#define TIMES     (100 * PATHS)

/* In a new process, which waits until the pipe is closed, so that all begin together. */
static void start(const int gate[2], void (*run)(struct fixture *f), struct fixture *f)
{
    char end;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child)
        return;
    close(gate[1]);
    (void)!read(gate[0], &end, 1);
    run(f);
    _exit(0);
}

static void run_at_once(void (*run)(struct fixture *f), struct fixture *f)
{
    int gate[2], status;

    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < PROCESSES; i++)
        start(gate, run, f);
    close(gate[1]);
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    close(gate[0]);
}

/* Paths and kinds are new to all of them, so places and series are fought for. */
static void count_many(struct fixture *f)
{
    static const int statuses[] = { 200, 201, 404, 429, 503 };
    char path[16];

    for (int i = 0; i < TIMES; i++) {
        snprintf(path, sizeof(path), "/%d", i % PATHS);
        answers_count(f->segment, answers_endpoint(f->segment, str_from(path)),
                      (enum answer_method)(i % ANSWER_METHODS),
                      statuses[(size_t)i % COUNT(statuses)], 7);
        metric_add(f->segment, METRIC_RATE_LIMIT_HITS_DEFAULT, 1);
    }
}

static void processes_at_once_lose_no_count(void **state)
{
    struct fixture *f = *state;
    static char paths[PATHS][16];

    run_at_once(count_many, f);
    for (size_t i = 0; i < COUNT(paths); i++) {
        snprintf(paths[i], sizeof(paths[i]), "/%zu", i);
        (void)endpoint(f, paths[i]);
    }
    assert_int_equal(sum_of_requests(text(f)), PROCESSES * TIMES);
    assert_int_equal(sample(text(f), "aragora_rate_limit_hits_total{limit_type=\"default\"}"),
                     PROCESSES * TIMES);
    assert_int_equal(sample(text(f), REQUESTS "{" REST_LABELS "}"), -1);
    assert_int_equal(sample(text(f), LATENCY "_count{endpoint=\"/0\"}"), PROCESSES * TIMES / PATHS);
}

static void open_and_count(struct fixture *f)
{
    struct segment *own;

    if (segment_open(&own, f->directory) != OK)
        _exit(1);
    metric_add(own, METRIC_RATE_LIMIT_HITS_DEFAULT, 1);
}

/* Whoever replaced the file that another had just made would count alone. */
static void an_old_layout_is_replaced_once_by_all_who_find_it(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    char name[96];

    assert_int_equal(stat(f->directory, &info), 0);
    snprintf(name, sizeof(name), "/dev/shm/aragora-%llx-%llx", (unsigned long long)info.st_dev,
             (unsigned long long)info.st_ino);
    for (int i = 0; i < 200; i++) {
        segment_close(f->segment);
        f->segment = NULL;
        assert_int_equal(truncate(name, 4096), 0);
        run_at_once(open_and_count, f);
        assert_int_equal(segment_open(&f->segment, f->directory), OK);
        assert_int_equal(sample(text(f), "aragora_rate_limit_hits_total{limit_type=\"default\"}"),
                         PROCESSES);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_text_is_as_prometheus_reads_it),
        TEST(a_time_counts_up_to_its_bound_and_not_above),
        TEST(latency_sums_all_answers_of_an_endpoint),
        TEST(an_unlisted_status_and_an_unknown_route_are_other),
        TEST(an_endpoint_keeps_its_place_beside_other_releases),
        TEST(without_room_answers_count_as_other),
        TEST(a_segment_that_is_not_there_counts_nothing),
        TEST(labels_are_escaped_and_bounded),
        TEST(what_a_client_makes_up_cannot_fill_the_table),
        TEST(histograms_of_series_are_cumulative),
        TEST(a_gauge_is_the_sum_of_those_who_live),
        TEST(processes_at_once_lose_no_count),
        TEST(an_old_layout_is_replaced_once_by_all_who_find_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
