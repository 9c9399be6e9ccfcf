/* test_ws_frame.c - WebSocket frames, as RFC 6455 has them. */
#include "common/ws/frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MESSAGE_MAX 1000
#define MASK        "\x37\xfa\x21\x3d" /* of RFC 6455 5.7 */

/* A mask that changes nothing, so that a server's input can be read here. */
#define ZERO "\0\0\0\0"

/* Everything that comes out of the bytes, written down; fed in steps of the given size. */
static void parse_all(struct buf *log, enum ws_role role, struct str input, size_t step)
{
    struct ws_parser parser;
    struct ws_message message;
    enum ws_event event = WS_MORE;

    ws_parser_start(&parser, role, MESSAGE_MAX);
    for (size_t from = 0; from < input.len && event != WS_VIOLATION; from += step) {
        struct str part = str_slice(input, from, from + step);
        char *copy = malloc(part.len); /* so that ASan sees a read behind the part */

        memcpy(copy, part.at, part.len);
        part.at = copy;
        while ((event = ws_parse(&message, &parser, &part)) == WS_MESSAGE) {
            assert_non_null(message.data.at);
            buf_printf(log, "%d:", message.opcode);
            if (message.opcode == WS_CLOSE)
                buf_printf(log, "%d:", (int)message.close_code);
            buf_str(log, message.data);
            buf_char(log, ';');
        }
        free(copy);
        if (event == WS_VIOLATION) {
            assert_non_null(parser.violation.reason);
            buf_printf(log, "!%d", (int)parser.violation.code);
            part = STR("\x81\x80" ZERO);
            assert_int_equal(ws_parse(&message, &parser, &part), WS_VIOLATION); /* for good */
        } else {
            assert_int_equal(part.len, 0);
        }
    }
    ws_parser_free(&parser);
    ws_parser_free(&parser);
}

static void check_parse(enum ws_role role, struct str input, const char *expected)
{
    static const size_t steps[] = { 1, 2, 3, 7, 100000 };

    for (size_t i = 0; i < COUNT(steps); i++) {
        CLEANUP(buf_free) struct buf log = { 0 };

        parse_all(&log, role, input, steps[i]);
        buf_char(&log, '\0');
        assert_string_equal(log.at, expected);
    }
}

struct parse_case {
    struct str input;
    const char *expected;
};

static void the_examples_of_the_rfc_are_read(void **state)
{
    static const struct parse_case client[] = {
        { { "\x81\x05Hello", 7 }, "1:Hello;" },
        { { "\x01\x03Hel\x80\x02lo", 9 }, "1:Hello;" },
        { { "\x89\x05Hello", 7 }, "9:Hello;" },
    };
    static const struct parse_case server[] = {
        { { "\x81\x85" MASK "\x7f\x9f\x4d\x51\x58", 11 }, "1:Hello;" },
        { { "\x8a\x85" MASK "\x7f\x9f\x4d\x51\x58", 11 }, "10:Hello;" },
    };
    CLEANUP(buf_free) struct buf frame = { 0 };
    char bytes[256];

    (void)state;
    for (size_t i = 0; i < COUNT(client); i++)
        check_parse(WS_CLIENT, client[i].input, client[i].expected);
    for (size_t i = 0; i < COUNT(server); i++)
        check_parse(WS_SERVER, server[i].input, server[i].expected);
    ws_frame_text(&frame, WS_SERVER, STR("Hello"));
    assert_true(str_eq(buf_view(&frame), STR("\x81\x05Hello")));
    buf_clear(&frame);
    memset(bytes, 'x', sizeof(bytes));
    ws_frame_binary(&frame, WS_SERVER, (struct str){ bytes, 256 });
    assert_int_equal(frame.len, 260);
    assert_memory_equal(frame.at, "\x82\x7e\x01\x00xx", 6);
}

static void a_length_of_64_bits_is_written_and_read(void **state)
{
    static char bytes[65536];
    CLEANUP(buf_free) struct buf frame = { 0 };
    CLEANUP(ws_parser_free) struct ws_parser parser;
    struct ws_message message;

    (void)state;
    ws_frame_binary(&frame, WS_SERVER, (struct str){ bytes, sizeof(bytes) });
    assert_memory_equal(frame.at, "\x82\x7f\0\0\0\0\0\1\0\0", 10);
    ws_parser_start(&parser, WS_CLIENT, sizeof(bytes));
    struct str input = buf_view(&frame);
    assert_int_equal(ws_parse(&message, &parser, &input), WS_MESSAGE);
    assert_int_equal(message.data.len, sizeof(bytes));
    assert_int_equal(ws_parse(&message, &parser, &input), WS_MORE);
    assert_int_equal(parser.message.cap, 0); /* an idle connection keeps no big buffer */
}

static void what_one_end_writes_the_other_reads(void **state)
{
    static const size_t lengths[] = { 0, 1, 125, 126, 127, 999, 1000 };
    static char bytes[MESSAGE_MAX];

    (void)state;
    memset(bytes, 'a', sizeof(bytes));
    for (int role = WS_SERVER; role <= WS_CLIENT; role++)
        for (size_t i = 0; i < COUNT(lengths); i++) {
            CLEANUP(buf_free) struct buf frames = { 0 };
            CLEANUP(buf_free) struct buf expected = { 0 };
            struct str text = { bytes, lengths[i] };

            ws_frame_text(&frames, role, text);
            ws_frame_control(&frames, role, WS_PING, STR("p"));
            ws_frame_control(&frames, role, WS_PONG, STR_NONE);
            ws_frame_close(&frames, role, WS_GOING_AWAY, STR("bye"));
            ws_frame_text(&frames, role, STR("after the close, unheard"));
            buf_printf(&expected, "1:" STR_FMT ";9:p;10:;8:1001:bye;", STR_ARG(text));
            check_parse(role == WS_SERVER ? WS_CLIENT : WS_SERVER, buf_view(&frames), expected.at);
        }
}

static void every_client_frame_has_its_own_mask(void **state)
{
    CLEANUP(buf_free) struct buf a = { 0 };
    CLEANUP(buf_free) struct buf b = { 0 };

    (void)state;
    ws_frame_text(&a, WS_CLIENT, STR("Hello"));
    ws_frame_text(&b, WS_CLIENT, STR("Hello"));
    assert_memory_equal(a.at, "\x81\x85", 2);
    assert_int_equal(a.len, b.len);
    assert_memory_not_equal(a.at, b.at, a.len);
}

#define CASE(bytes, expected)                                                                      \
    {                                                                                              \
        { bytes, sizeof(bytes) - 1 }, expected                                                     \
    }

static void fragments_are_joined_and_control_frames_pass_between(void **state)
{
    static const struct parse_case cases[] = {
        CASE("\x01\x82" ZERO "ab\x89\x81" ZERO "p\x00\x80" ZERO "\x80\x81" ZERO "c", "9:p;1:abc;"),
        CASE("\x02\x81" ZERO "\xff\x8a\x80" ZERO "\x80\x81" ZERO "\xfe", "10:;2:\xff\xfe;"),
        CASE("\x01\x80" ZERO "\x80\x80" ZERO, "1:;"),
        CASE("\x01\x81" ZERO "a\x88\x80" ZERO, "8:1005:;"),
        CASE("\x81\x81" ZERO "a\x81\x81" ZERO "b\x82\x81" ZERO "c", "1:a;1:b;2:c;"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_parse(WS_SERVER, cases[i].input, cases[i].expected);
}

static void a_broken_frame_gets_its_close_code(void **state)
{
    static const struct parse_case cases[] = {
        CASE("\x81\x05Hello", "!1002"), /* not masked */
        CASE("\xc1\x80" ZERO, "!1002"), /* RSV1: deflate */
        CASE("\xa1\x80" ZERO, "!1002"), /* RSV2 */
        CASE("\x91\x80" ZERO, "!1002"), /* RSV3 */
        CASE("\x83\x80" ZERO, "!1002"), /* unknown data opcode */
        CASE("\x87\x80" ZERO, "!1002"),
        CASE("\x8b\x80" ZERO, "!1002"), /* unknown control opcode */
        CASE("\x8f\x80" ZERO, "!1002"),
        CASE("\x09\x80" ZERO, "!1002"),                     /* fragmented ping */
        CASE("\x08\x80" ZERO, "!1002"),                     /* fragmented close */
        CASE("\x89\xfe\x00\x7e" ZERO, "!1002"),             /* ping of 126 bytes */
        CASE("\x80\x80" ZERO, "!1002"),                     /* nothing to continue */
        CASE("\x81\x80" ZERO "\x80\x80" ZERO, "1:;!1002"),  /* nor any more */
        CASE("\x01\x80" ZERO "\x81\x80" ZERO, "!1002"),     /* text within text */
        CASE("\x01\x80" ZERO "\x02\x80" ZERO, "!1002"),     /* binary within text */
        CASE("\x81\xfe\x00\x7d" ZERO, "!1002"),             /* 125 in 16 bits */
        CASE("\x81\xff\0\0\0\0\0\0\xff\xff" ZERO, "!1002"), /* 65535 in 64 bits */
        CASE("\x81\xff\x80\0\0\0\0\0\0\0" ZERO, "!1002"),   /* highest bit */
        CASE("\x81\xfe\x03\xe9" ZERO, "!1009"),             /* 1001 bytes */
        CASE("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" ZERO, "!1009"),
        CASE("\x02\x81" ZERO "x\x80\xfe\x03\xe8" ZERO, "!1009"), /* 1 + 1000 bytes */
        CASE("\x88\x81" ZERO "\x03", "!1002"),                   /* half a close code */
        CASE("\x88\x83" ZERO "\x03\xe8\xff", "!1007"),           /* bad reason */
        CASE("\x88\x84" ZERO "\x03\xe8\xe2\x82", "!1007"),       /* reason cut in a character */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_parse(WS_SERVER, cases[i].input, cases[i].expected);
    check_parse(WS_CLIENT, STR("\x81\x85" MASK "\x7f\x9f\x4d\x51\x58"), "!1002");
}

static void only_legal_close_codes_are_taken(void **state)
{
    static const int64_t legal[] = { 1000, 1001, 1002, 1003, 1007, 1011, 1013,
                                     1014, 3000, 3999, 4000, 4401, 4999 };
    static const int64_t illegal[] = { 0,    999,  1004, 1005, 1006, 1015,
                                       1016, 1100, 2000, 2999, 5000, 65535 };

    (void)state;
    for (size_t i = 0; i < COUNT(legal) + COUNT(illegal); i++) {
        bool good = i < COUNT(legal);
        int64_t code = good ? legal[i] : illegal[i - COUNT(legal)];
        char frame[8] = { (char)0x88, (char)0x82, 0, 0, 0, 0, (char)(code >> 8), (char)code };
        char expected[32];

        snprintf(expected, sizeof(expected), good ? "8:%d:;" : "!1002", (int)code);
        check_parse(WS_SERVER, (struct str){ frame, sizeof(frame) }, expected);
        assert_int_equal(ws_close_code_legal(code), good);
    }
}

static void a_long_reason_is_cut_between_characters(void **state)
{
    CLEANUP(buf_free) struct buf reason = { 0 };
    CLEANUP(buf_free) struct buf frame = { 0 };
    CLEANUP(buf_free) struct buf expected = { 0 };

    (void)state;
    buf_char(&reason, 'x');
    for (int i = 0; i < 100; i++)
        buf_str(&reason, STR("\xe2\x82\xac"));
    ws_frame_close(&frame, WS_SERVER, 4401, buf_view(&reason));
    buf_printf(&expected, "8:4401:%.121s;", reason.at); /* 1 + 40 * 3; 123 would cut one */
    check_parse(WS_CLIENT, buf_view(&frame), expected.at);
    buf_clear(&frame);
    ws_frame_close(&frame, WS_SERVER, WS_NO_CODE, STR_NONE);
    check_parse(WS_CLIENT, buf_view(&frame), "8:1005:;");
}

/* The text in two fragments, cut at the place. */
static void fragments_write(struct buf *out, struct str text, size_t cut)
{
    struct str parts[] = { str_slice(text, 0, cut), str_slice(text, cut, text.len) };

    for (size_t i = 0; i < COUNT(parts); i++) {
        buf_char(out, (char)(i == 0 ? 0x01 : 0x80));
        buf_char(out, (char)parts[i].len);
        buf_str(out, parts[i]);
    }
}

static void text_is_checked_across_fragments(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true }, /* Autobahn 6.2 */
        { "\xc2\x80", true },
        { "\xdf\xbf", true },
        { "\xe0\xa0\x80", true },
        { "\xed\x9f\xbf", true },
        { "\xee\x80\x80", true },
        { "\xef\xbf\xbf", true },
        { "\xf0\x90\x80\x80", true },
        { "\xf4\x8f\xbf\xbf", true },
        { "\xce\xba\xed\xa0\x80"
          "edited",
          false }, /* surrogate, Autobahn 6.3 */
        { "\xed\xbf\xbf", false },
        { "\xf4\x90\x80\x80", false }, /* above U+10FFFF, Autobahn 6.4 */
        { "\xf5\x80\x80\x80", false },
        { "\xf8\x88\x80\x80\x80", false },
        { "\x80", false },
        { "a\xbf", false },
        { "\xc0\x80", false }, /* overlong */
        { "\xc1\xbf", false },
        { "\xe0\x80\x80", false },
        { "\xe0\x9f\xbf", false },
        { "\xf0\x8f\xbf\xbf", false },
        { "\xfe", false },
        { "\xff", false },
        { "\xe2\x28\xa1", false },
        { "\xce", false }, /* ends inside a character */
        { "\xe2\x82", false },
        { "\xf0\x9f\x98", false },
        { "\xe2\x82"
          "a",
          false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str text = str_from(cases[i].text);
        char expected[64];

        snprintf(expected, sizeof(expected), cases[i].good ? "1:%s;" : "!1007", text.at);
        for (size_t cut = 0; cut <= text.len; cut++) {
            CLEANUP(buf_free) struct buf frames = { 0 };

            fragments_write(&frames, text, cut);
            check_parse(WS_CLIENT, buf_view(&frames), expected);
        }
    }
}

static void bad_text_is_refused_before_its_message_ends(void **state)
{
    static const struct parse_case cases[] = {
        CASE("\x01\x7e\x01\xf4\xce\xba\xf4\x90", "!1007"), /* 500 announced, 4 sent */
        CASE("\x01\x02\xf4\x90\x89\x00", "!1007"),
    };
    static const struct parse_case fine[] = {
        CASE("\x82\x01\xff", "2:\xff;"), /* binary may be anything */
        CASE("\x01\x01\xce\x89\x01\xff\x80\x01\xba", "9:\xff;1:\xce\xba;"), /* so may a ping */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        check_parse(WS_CLIENT, cases[i].input, cases[i].expected);
    for (size_t i = 0; i < COUNT(fine); i++)
        check_parse(WS_CLIENT, fine[i].input, fine[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_are_read),
        cmocka_unit_test(a_length_of_64_bits_is_written_and_read),
        cmocka_unit_test(what_one_end_writes_the_other_reads),
        cmocka_unit_test(every_client_frame_has_its_own_mask),
        cmocka_unit_test(fragments_are_joined_and_control_frames_pass_between),
        cmocka_unit_test(a_broken_frame_gets_its_close_code),
        cmocka_unit_test(only_legal_close_codes_are_taken),
        cmocka_unit_test(a_long_reason_is_cut_between_characters),
        cmocka_unit_test(text_is_checked_across_fragments),
        cmocka_unit_test(bad_text_is_refused_before_its_message_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
