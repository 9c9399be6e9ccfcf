/* test_http_parts.c - what the HTTP client stands on: addresses, retries, event streams. */
#include "common/http/address.h"
#include "common/http/retry.h"
#include "common/http/sse.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void address_parse(struct sockaddr_storage *out, const char *text)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(out, &in, sizeof(in));
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(out, &in6, sizeof(in6));
    else
        fail_msg("no address: %s", text);
}

static void only_addresses_that_anyone_can_reach_are_public(void **state)
{
    static const struct {
        const char *address;
        bool public;
    } cases[] = {
        { "8.8.8.8", true },
        { "172.15.255.255", true },
        { "172.32.0.1", true },
        { "11.0.0.1", true },
        { "2606:4700::1111", true },
        { "223.255.255.254", true },
        { "0.0.0.0", false },
        { "10.1.2.3", false },
        { "127.0.0.1", false },
        { "127.255.0.9", false },
        { "169.254.169.254", false },
        { "172.16.0.1", false },
        { "172.31.9.9", false },
        { "192.168.1.1", false },
        { "100.64.0.1", false },
        { "198.18.0.1", false },
        { "224.0.0.251", false },
        { "255.255.255.255", false },
        { "::", false },
        { "::1", false },
        { "fe80::1", false },
        { "fc00::1", false },
        { "fd12::1", false },
        { "ff02::1", false },
        { "::ffff:10.0.0.1", false },
        { "::ffff:127.0.0.1", false },
        { "::ffff:8.8.8.8", true },
        { "2002:7f00:1::", false },
        { "64:ff9b::7f00:1", false },
        { "2001:db8::1", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sockaddr_storage address;

        address_parse(&address, cases[i].address);
        if (address_is_public((struct sockaddr *)&address) != cases[i].public)
            fail_msg("%s", cases[i].address);
    }
}

static void loopback_is_known_in_every_form(void **state)
{
    static const char *const yes[] = { "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1" };
    static const char *const no[] = { "128.0.0.1", "0.0.0.0", "::2", "10.0.0.1" };
    struct sockaddr_storage address;

    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++) {
        address_parse(&address, yes[i]);
        assert_true(address_is_loopback((struct sockaddr *)&address));
        address_parse(&address, no[i]);
        assert_false(address_is_loopback((struct sockaddr *)&address));
    }
}

static void only_what_another_try_may_change_is_tried_again(void **state)
{
    static const int yes[] = { 408, 429, 500, 502, 503, 504, 524, 529 };
    static const int no[] = { 200, 301, 400, 401, 403, 404, 422, 501, 505, 600 };

    (void)state;
    for (size_t i = 0; i < COUNT(yes); i++)
        assert_true(retry_status(yes[i]));
    for (size_t i = 0; i < COUNT(no); i++)
        assert_false(retry_status(no[i]));
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    /* 784111777: 6 November 1994, 08:49:37 */
    const struct utc now = { INT64_C(784111770) * US_PER_S };
    static const struct {
        const char *value;
        int64_t seconds; /* -1: neither */
    } cases[] = {
        { "0", 0 },
        { " 12 ", 12 },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 7 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 7 },
        { "Sun Nov  6 08:49:37 1994", 7 },
        { "Sun, 06 Nov 1994 08:49:00 GMT", 0 },
        { "soon", -1 },
        { "", -1 },
        { "-3", -1 },
        { "1.5", -1 },
        { "99999999999999999999", -1 },
        { "Sun, 06 Nov 1994 08:49:37 GMT and so on and on and on and on and on and on", -1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t wait_us = -1;
        bool understood = retry_after_parse(&wait_us, str_from(cases[i].value), now);

        if (understood != (cases[i].seconds >= 0) ||
            (understood && wait_us != cases[i].seconds * US_PER_S))
            fail_msg("%s", cases[i].value);
    }
}

static const struct retry_policy policy = {
    .retries = 4, .base_us = 1000, .most_us = 3000, .server_most_us = 10000
};

static void waits_double_to_their_bound_with_full_jitter(void **state)
{
    static const int64_t bounds[] = { 1000, 2000, 3000, 3000 };
    int64_t wait_us;

    (void)state;
    for (int64_t failures = 1; failures <= 4; failures++) {
        int64_t least = INT64_MAX, most = 0;

        for (uint64_t random = 0; random < 10000; random++) {
            assert_true(retry_wait(&wait_us, &policy, failures, INT_NONE, random));
            least = wait_us < least ? wait_us : least;
            most = wait_us > most ? wait_us : most;
        }
        assert_int_equal(least, 0);
        assert_int_equal(most, bounds[failures - 1]);
    }
    assert_false(retry_wait(&wait_us, &policy, 5, INT_NONE, 0));
    assert_false(retry_wait(&wait_us, &policy, 5, 0, 0));
}

static void what_a_server_asks_for_is_waited_up_to_its_bound(void **state)
{
    int64_t wait_us;

    (void)state;
    assert_true(retry_wait(&wait_us, &policy, 1, 5000, 0));
    assert_int_equal(wait_us, 5000);
    assert_true(retry_wait(&wait_us, &policy, 1, 5000, 500));
    assert_int_equal(wait_us, 5500);
    assert_true(retry_wait(&wait_us, &policy, 1, 99 * US_PER_S, 0));
    assert_int_equal(wait_us, 10000);
}

static const char stream[] =
    ": hello\r\n\r\ndata: {\"a\":1}\n\nevent: x\rid: 7\rdata:two\rdata: lines\r\r"
    "data\n\ndata: never finished\n";

/* The stream in pieces of that many bytes; the data of its events, each in brackets. */
static void read_stream(size_t piece)
{
    CLEANUP(buf_free) struct buf all = { 0 };
    struct sse sse = { 0 };
    struct str rest = str_from(stream), data = STR_NONE;

    while (rest.len) {
        sse_feed(&sse, str_slice(rest, 0, piece));
        rest = str_slice(rest, piece, rest.len);
        while (sse_next(&data, &sse))
            buf_printf(&all, "[" STR_FMT "]", STR_ARG(data));
    }
    assert_true(str_is(buf_view(&all), "[{\"a\":1}][two\nlines][]"));
    sse_free(&sse);
}

static void a_stream_reads_the_same_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof(stream); piece++)
        read_stream(piece);
}

static void lines_come_out_whole_and_the_rest_is_told(void **state)
{
    struct lines lines = { 0 };
    struct str line = STR_NONE;
    static const char text[] = "{\"done\":false}\n\n{\"done\":true}\r\n{\"do";

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        lines_feed(&lines, (struct str){ text + i, 1 });
        while (lines_next(&line, &lines))
            assert_true(line.len == 0 || str_is(line, "{\"done\":false}") ||
                        str_is(line, "{\"done\":true}"));
    }
    assert_true(str_is(str_trim(lines_rest(&lines)), "{\"do"));
    lines_free(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_addresses_that_anyone_can_reach_are_public),
        cmocka_unit_test(loopback_is_known_in_every_form),
        cmocka_unit_test(only_what_another_try_may_change_is_tried_again),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(waits_double_to_their_bound_with_full_jitter),
        cmocka_unit_test(what_a_server_asks_for_is_waited_up_to_its_bound),
        cmocka_unit_test(a_stream_reads_the_same_however_it_is_cut),
        cmocka_unit_test(lines_come_out_whole_and_the_rest_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
