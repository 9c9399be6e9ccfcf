/* test_trace.c - trace contexts, sampling, spans as OTLP, and a ring that fills. */
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/json.h"
#include "common/metrics/metrics.h"
#include "common/trace/exporter.h"
#include "common/trace/otlp.h"
#include "common/trace/sampler.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

/* --- Context ----------------------------------------------------------------------------- */

static void only_what_the_standard_allows_is_read(void **state)
{
    static const struct {
        const char *text;
        bool good, sampled;
    } cases[] = {
        { "00-" TRACE "-" PARENT "-01", true, true },
        { "00-" TRACE "-" PARENT "-00", true, false },
        { "00-" TRACE "-" PARENT "-03", true, true },
        { "00-" TRACE "-" PARENT "-01-more", false, false },
        { "cc-" TRACE "-" PARENT "-01-more", true, true },
        { "cc-" TRACE "-" PARENT "-01", true, true },
        { "cc-" TRACE "-" PARENT "-01.more", false, false },
        { "ff-" TRACE "-" PARENT "-01", false, false },
        { "0G-" TRACE "-" PARENT "-01", false, false },
        { "00-" TRACE "-" PARENT "-1", false, false },
        { "00-" TRACE "-" PARENT "-0x", false, false },
        { "00-" TRACE "-" PARENT, false, false },
        { "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", false, false },
        { "00-00000000000000000000000000000000-" PARENT "-01", false, false },
        { "00-" TRACE "-0000000000000000-01", false, false },
        { "00-" TRACE "-" PARENT "-01, 00-" TRACE "-" PARENT "-01", false, false },
        { "", false, false },
        { "-", false, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct trace_context context = { 0 };
        char text[TRACEPARENT_TEXT];

        if (traceparent_read(&context, str_from(cases[i].text)) != cases[i].good)
            fail_msg("%s", cases[i].text);
        assert_int_equal(context.sampled, cases[i].sampled);
        if (!cases[i].good)
            continue;
        traceparent_write(text, &context);
        assert_memory_equal(text, "00-" TRACE "-" PARENT, 52);
        assert_int_equal(text[54], cases[i].sampled ? '1' : '0');
    }
}

static void a_state_that_breaks_the_rules_is_not_passed_on(void **state)
{
    CLEANUP(buf_free) struct buf many = { 0 };
    char wide[520];

    (void)state;
    assert_true(tracestate_is_fit(STR("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")));
    assert_true(tracestate_is_fit(STR("fw529a3039@dt=x:y; z , a=1,,")));
    assert_false(tracestate_is_fit(STR("")));
    assert_false(tracestate_is_fit(STR(",")));
    assert_false(tracestate_is_fit(STR("Rojo=1")));
    assert_false(tracestate_is_fit(STR("rojo")));
    assert_false(tracestate_is_fit(STR("rojo=a=b")));
    assert_false(tracestate_is_fit(STR("rojo=\x01")));
    assert_false(tracestate_is_fit(STR("rojo=\xc3\xbc")));
    for (int i = 0; i < 33; i++)
        buf_str(&many, STR("a=1,"));
    assert_true(tracestate_is_fit(str_slice(buf_view(&many), 0, many.len - 4)));
    assert_false(tracestate_is_fit(buf_view(&many)));
    memset(wide, ' ', sizeof(wide));
    wide[0] = 'a';
    wide[1] = '=';
    wide[2] = '1';
    wide[3] = ',';
    assert_false(tracestate_is_fit((struct str){ wide, 513 }));
    assert_true(tracestate_is_fit((struct str){ wide, 512 }));
}

static void ids_of_other_forms_become_ids(void **state)
{
    unsigned char id[TRACE_ID_BYTES], again[TRACE_ID_BYTES], zero[TRACE_ID_BYTES] = { 0 };
    static const unsigned char padded[TRACE_ID_BYTES] = { [14] = 0xab, [15] = 0xcd };

    (void)state;
    trace_id_read(id, STR("ABcd"));
    assert_memory_equal(id, padded, sizeof(id));
    trace_id_read(id, STR("my.trace:1"));
    trace_id_read(again, STR("my.trace:1"));
    assert_memory_equal(id, again, sizeof(id));
    trace_id_read(again, STR("my.trace:2"));
    assert_memory_not_equal(id, again, sizeof(id));
    trace_id_read(id, STR("0000"));
    assert_memory_not_equal(id, zero, sizeof(id));
    assert_false(span_id_read(id, STR("0")));
    assert_false(span_id_read(id, STR("00f067aa0ba902b71")));
    assert_false(span_id_read(id, STR("span")));
    assert_true(span_id_read(id, STR("b7")));
    assert_int_equal(id[7], 0xb7);
}

/* --- Sampling ---------------------------------------------------------------------------- */

static void the_parent_decides_where_it_may(void **state)
{
    static const struct {
        const char *name;
        int root, of_taken, of_not_taken;
    } cases[] = {
        { "always_on", 1, 1, 1 },
        { "always_off", 0, 0, 0 },
        { "traceidratio", 0, 0, 0 },
        { "parentbased_always_on", 1, 1, 0 },
        { "parentbased_always_off", 0, 1, 0 },
        { "parentbased_traceidratio", 0, 1, 0 },
    };
    static const unsigned char trace[TRACE_ID_BYTES] = { [8] = 0xff };
    const bool yes = true, no = false;
    struct sampler sampler;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(sampler_read(&sampler, str_from(cases[i].name), 0.5));
        assert_int_equal(sampler_takes(&sampler, trace, NULL), cases[i].root);
        assert_int_equal(sampler_takes(&sampler, trace, &yes), cases[i].of_taken);
        assert_int_equal(sampler_takes(&sampler, trace, &no), cases[i].of_not_taken);
    }
    assert_false(sampler_read(&sampler, STR("jaeger_remote"), 1));
}

static void the_ratio_is_kept_and_higher_ones_hold_the_lower(void **state)
{
    static const double ratios[] = { 0, 0.01, 0.25, 0.5, 1 };
    int taken[COUNT(ratios)] = { 0 };

    (void)state;
    for (int n = 0; n < 20000; n++) {
        unsigned char trace[TRACE_ID_BYTES], digest[SHA256_BYTES];
        bool before = false;

        sha256(digest, &n, sizeof(n));
        memcpy(trace, digest, sizeof(trace));
        for (size_t i = 0; i < COUNT(ratios); i++) {
            bool takes =
                sampler_takes(&(struct sampler){ SAMPLE_RATIO, true, ratios[i] }, trace, NULL);

            assert_true(takes || !before);
            taken[i] += takes;
            before = takes;
        }
    }
    assert_int_equal(taken[0], 0);
    assert_in_range(taken[1], 140, 260);
    assert_in_range(taken[2], 4700, 5300);
    assert_in_range(taken[3], 9700, 10300);
    assert_int_equal(taken[4], 20000);
}

/* --- Encoding ---------------------------------------------------------------------------- */

static const char *member(struct json_object *object, const char *key)
{
    struct json_object *value;

    assert_true(json_get(&value, object, key));
    return json_object_get_string(value);
}

static void a_span_is_what_otlp_says(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf text = { 0 }, attributes = { 0 };
    struct json_object *span, *list, *value;
    struct span in = { .kind = SPAN_CLIENT,
                       .failed = true,
                       .has_parent = true,
                       .started = { INT64_C(1544712660300001) },
                       .started_us = 100 };

    (void)state;
    assert_true(traceparent_read(&in.context, STR("00-" TRACE "-" PARENT "-01")));
    memset(in.parent, 0xe1, sizeof(in.parent));
    in.context.state = STR("a=1");
    buf_str(&in.name, STR("chat \"x\""));
    buf_str(&in.problem, STR("timeout"));
    otlp_str(&in.attributes, "text", STR("[a,\n"));
    otlp_int(&in.attributes, "most", INT64_MAX);
    otlp_double(&in.attributes, "half", 0.5);
    otlp_span(&text, &in, 1350);
    assert_int_equal(json_parse(&span, arena, buf_view(&text), &json_limits_wide, NULL), OK);
    assert_string_equal(member(span, "traceId"), TRACE);
    assert_string_equal(member(span, "spanId"), PARENT);
    assert_string_equal(member(span, "parentSpanId"), "e1e1e1e1e1e1e1e1");
    assert_string_equal(member(span, "traceState"), "a=1");
    assert_string_equal(member(span, "name"), "chat \"x\"");
    assert_string_equal(member(span, "kind"), "3");
    assert_string_equal(member(span, "startTimeUnixNano"), "1544712660300001000");
    assert_string_equal(member(span, "endTimeUnixNano"), "1544712660301251000");
    assert_true(json_get(&value, span, "status"));
    assert_string_equal(member(value, "code"), "2");
    assert_string_equal(member(value, "message"), "timeout");
    assert_true(json_get(&list, span, "attributes"));
    assert_int_equal(json_object_array_length(list), 3);
    assert_true(json_get(&value, json_object_array_get_idx(list, 0), "value"));
    assert_string_equal(member(value, "stringValue"), "[a,\n");
    assert_true(json_get(&value, json_object_array_get_idx(list, 1), "value"));
    assert_string_equal(member(value, "intValue"), "9223372036854775807");
    assert_true(json_get(&value, json_object_array_get_idx(list, 2), "value"));
    assert_string_equal(member(value, "doubleValue"), "0.5");
    buf_free(&in.name);
    buf_free(&in.problem);
    buf_free(&in.attributes);
}

static void without_an_exporter_nothing_is_kept(void **state)
{
    struct trace_context parent = { .sampled = true };
    struct span span;

    (void)state;
    span_begin(&span, SPAN_INTERNAL, &parent, "work", STR("x"));
    span_enter(&span);
    span_str(&span, "key", STR("value"));
    span_fail(&span, STR("no"));
    assert_ptr_equal(span_current(), &span.context);
    span_end(&span);
    assert_null(span_current());
    assert_null(span.name.at);
    assert_null(span.attributes.at);
    assert_null(span.problem.at);
}

/* --- Export ------------------------------------------------------------------------------ */

static struct collector {
    int listener, port;
    pthread_t thread;
    char directory[64];
} at;

/* Takes connections, reads and never answers. */
static void *hang(void *arg)
{
    int fd;

    (void)arg;
    while ((fd = accept(at.listener, NULL, NULL)) >= 0) {
        char bytes[4096];

        while (read(fd, bytes, sizeof(bytes)) > 0)
            ;
        close(fd);
    }
    return NULL;
}

static int start_collector(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.directory, sizeof(at.directory), "/tmp/aragora-test-XXXXXX");
    if (!mkdtemp(at.directory) || bind(at.listener, (struct sockaddr *)&address, len) != 0 ||
        listen(at.listener, 8) != 0 ||
        getsockname(at.listener, (struct sockaddr *)&address, &len) != 0)
        return -1;
    at.port = ntohs(address.sin_port);
    return pthread_create(&at.thread, NULL, hang, NULL);
}

static int stop_collector(void **state)
{
    (void)state;
    shutdown(at.listener, SHUT_RDWR);
    close(at.listener);
    pthread_join(at.thread, NULL);
    return rmdir(at.directory);
}

static void what_does_not_fit_is_dropped_and_counted_and_the_stop_is_limited(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf metrics = { 0 };
    const char *endpoints[ENDPOINTS] = { 0 };
    struct segment *segment;
    const int extra = 100, in_flight = 16;
    struct exporter_config config = {
        .sender = { .url = arena_printf(arena, "http://127.0.0.1:%d/v1/traces", at.port),
                    .reach = HTTP_LOOPBACK,
                    .timeout_us = 60 * US_PER_S },
        .resource = STR(""),
        .batch = (size_t)in_flight,
        .data_directory = at.directory,
    };
    struct trace_context parent = { .trace = { 1 }, .span = { 2 }, .sampled = true };
    size_t at_place;

    (void)state;
    assert_int_equal(exporter_start(&config), OK);
    trace_on = true;
    int64_t begun_us = monotonic_us();
    for (int i = 0; i < EXPORTER_SPANS + in_flight + extra; i++) {
        struct span span;

        span_begin(&span, SPAN_INTERNAL, &parent, "work", STR_NONE);
        span_str(&span, "key", STR("value"));
        span_end(&span);
    }
    int64_t took_us = monotonic_us() - begun_us;
    trace_on = false;
    begun_us = monotonic_us();
    exporter_stop(US_PER_S / 5);
    assert_in_range(monotonic_us() - begun_us, 0, 5 * US_PER_S);
    assert_in_range(took_us, 0, 5 * US_PER_S); /* a minute, had it waited for the collector */

    assert_int_equal(segment_open(&segment, at.directory), OK);
    metrics_write(&metrics, segment, endpoints);
    buf_char(&metrics, '\0');
    assert_true(
        str_find(&at_place, buf_view(&metrics), STR("aragora_trace_spans_exported_total 0\n")));
    const char *full = strstr(metrics.at, "spans_dropped_total{reason=\"full\"} ");
    const char *refused = strstr(metrics.at, "spans_dropped_total{reason=\"refused\"} ");
    assert_non_null(full);
    assert_non_null(refused);
    int64_t dropped = strtoll(strchr(full, ' '), NULL, 10);
    assert_in_range(dropped, extra, extra + in_flight);
    assert_int_equal(dropped + strtoll(strchr(refused, ' '), NULL, 10),
                     EXPORTER_SPANS + in_flight + extra);
    segment_close(segment);
    segment_remove(at.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_the_standard_allows_is_read),
        cmocka_unit_test(a_state_that_breaks_the_rules_is_not_passed_on),
        cmocka_unit_test(ids_of_other_forms_become_ids),
        cmocka_unit_test(the_parent_decides_where_it_may),
        cmocka_unit_test(the_ratio_is_kept_and_higher_ones_hold_the_lower),
        cmocka_unit_test(a_span_is_what_otlp_says),
        cmocka_unit_test(without_an_exporter_nothing_is_kept),
        cmocka_unit_test_setup_teardown(
            what_does_not_fit_is_dropped_and_counted_and_the_stop_is_limited, start_collector,
            stop_collector),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
