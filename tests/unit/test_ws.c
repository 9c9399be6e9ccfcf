/* test_ws.c - WebSocket frames and the upgrade, as RFC 6455 has them. */
#include "common/ws/frame.h"
#include "common/ws/handshake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MESSAGE_MAX 1000
#define MASK        "\x37\xfa\x21\x3d" /* of RFC 6455 5.7 */

/* A mask that changes nothing, so that a server's input can be read here. */
#define ZERO "\0\0\0\0"

static const char kept_head[] = "GET /ws?debate_id=7&token=t HTTP/1.1\r\n"
                                "Host: example.org\r\n"
                                "Upgrade: websocket\r\n"
                                "Connection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "Sec-WebSocket-Version: 13\r\n";

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

static void the_accept_vector_of_the_rfc_holds(void **state)
{
    char accept[WS_ACCEPT_TEXT];

    (void)state;
    ws_accept_text(accept, STR("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void an_upgrade_is_read_and_answered(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf head = { 0 };
    CLEANUP(buf_free) struct buf out = { 0 };
    struct ws_request request = { 0 };
    struct ws_refusal refusal = { 0 };

    (void)state;
    buf_str(&head, str_from(kept_head));
    buf_str(&head, STR("ORIGIN: https://example.org\r\nauthorization: Bearer t1\r\n"
                       "X-Forwarded-For: 10.0.0.1\r\nx-forwarded-for:10.0.0.2 \r\n"
                       "Sec-WebSocket-Protocol: aragora-v1,, access_token.t2\r\n"
                       "Sec-WebSocket-Protocol: other\r\n\r\n"));
    size_t len = head.len;
    buf_str(&head, STR("\x81\x80"));
    for (size_t i = 0; i < len; i++)
        assert_int_equal(ws_request_read(&request, &refusal, arena, (struct str){ head.at, i }),
                         WS_HANDSHAKE_MORE);
    assert_int_equal(ws_request_read(&request, &refusal, arena, buf_view(&head)), WS_HANDSHAKE_OK);
    memset(head.at, 0, head.len); /* the strings are copies */
    assert_int_equal(request.bytes, len);
    assert_true(str_is(request.path, "/ws"));
    assert_true(str_is(request.query, "debate_id=7&token=t"));
    assert_true(str_is(request.host, "example.org"));
    assert_true(str_is(request.origin, "https://example.org"));
    assert_true(str_is(request.authorization, "Bearer t1"));
    assert_true(str_is(request.forwarded_for, "10.0.0.1, 10.0.0.2"));
    assert_int_equal(request.protocols.count, 3);
    assert_true(str_is(((struct str *)request.protocols.at)[1], "access_token.t2"));
    assert_true(ws_request_offers(&request, STR("other")));
    assert_false(ws_request_offers(&request, STR("Aragora-v1")));
    ws_request_accept(&out, &request, STR("aragora-v1"));
    assert_true(
        str_eq(buf_view(&out), STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                   "Sec-WebSocket-Protocol: aragora-v1\r\n\r\n")));
}

/* The good head with one text for another. */
static void head_write(struct buf *out, const char *from, const char *to)
{
    struct str head = str_from(kept_head);
    size_t at;

    assert_true(str_find(&at, head, str_from(from)));
    buf_str(out, str_slice(head, 0, at));
    buf_str(out, str_from(to));
    buf_str(out, str_slice(head, at + strlen(from), head.len));
    buf_str(out, STR("\r\n"));
}

static void a_head_is_taken_or_refused_with_its_status(void **state)
{
    static const struct {
        const char *from, *to;
        int status; /* 0: taken */
    } cases[] = {
        { "", "", 0 },
        { "Connection: Upgrade", "Connection: close, upgrade", 0 }, /* lighttpd */
        { "Connection: Upgrade", "connection: keep-alive\r\nCONNECTION:UPGRADE", 0 },
        { "Upgrade: websocket", "upgrade: h2c , WebSocket", 0 },
        { "Host", "Content-Length: 0\r\nHost", 0 },
        { "GET ", "POST ", 405 },
        { "GET ", "get ", 405 },
        { "GET ", "GET", 400 },
        { "GET ", " GET ", 400 },
        { "HTTP/1.1", "HTTP/1.0", 505 },
        { "HTTP/1.1", "HTTP/2.0", 505 },
        { "HTTP/1.1", "HTTP/1.1 x", 400 },
        { "HTTP/1.1", "SIP/2.0", 400 },
        { " HTTP/1.1", "", 400 },
        { "/ws", "ws", 400 },
        { "/ws", "/w\x01s", 400 },
        { "/ws", "/w\xff", 400 },
        { "token=t", "token=t#x", 400 },
        { "Host: example.org\r\n", "", 400 },
        { "Host: example.org", "Host: ", 400 },
        { "Host: example.org", "Host: a\r\nHost: b", 400 },
        { "Host: example.org", "Host : a", 400 },
        { "Host: example.org", "Host: a\r\n b", 400 },
        { "Host: example.org", "Host: a\nX: b", 400 },
        { "Host: example.org", "Host: a\rb", 400 },
        { "Host: example.org", "Host", 400 },
        { "Host", "Transfer-Encoding: chunked\r\nHost", 400 },
        { "Host", "Content-Length: 5\r\nHost", 400 },
        { "Host", "Origin: a\r\nOrigin: b\r\nHost", 400 },
        { "Host", "Authorization: a\r\nAuthorization: b\r\nHost", 400 },
        { "Host", "Sec-WebSocket-Protocol: a b\r\nHost", 400 },
        { "Upgrade: websocket\r\n", "", 426 },
        { "Upgrade: websocket", "Upgrade: websockets", 426 },
        { "Connection: Upgrade\r\n", "", 400 },
        { "Connection: Upgrade", "Connection: keep-alive", 400 },
        { "Version: 13", "Version: 8", 426 },
        { "Sec-WebSocket-Version: 13\r\n", "", 426 },
        { "Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", 400 },
        { "dGhlIHNhbXBsZSBub25jZQ==", "", 400 },
        { "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", 400 },
        { "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", 400 },
        { "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWU=", 400 },
        { "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub2!jZQ==", 400 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(arena_cleanup) struct arena *arena = arena_new();
        CLEANUP(buf_free) struct buf head = { 0 };
        struct ws_request request = { 0 };
        struct ws_refusal refusal = { 0 };

        head_write(&head, cases[i].from, cases[i].to);
        enum ws_handshake step = ws_request_read(&request, &refusal, arena, buf_view(&head));
        if (refusal.status != cases[i].status)
            print_error("case %zu: %s\n", i, cases[i].to);
        assert_int_equal(refusal.status, cases[i].status);
        assert_int_equal(step, cases[i].status ? WS_HANDSHAKE_REFUSED : WS_HANDSHAKE_OK);
        assert_int_equal(request.bytes, cases[i].status ? 0 : head.len);
    }
}

static void a_head_that_is_too_large_is_refused(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf head = { 0 };
    CLEANUP(buf_free) struct buf many = { 0 };
    struct ws_request request;
    struct ws_refusal refusal = { 0 };

    (void)state;
    buf_str(&head, STR("GET /"));
    while (head.len < WS_HEAD_BYTES)
        buf_char(&head, 'a');
    struct str view = buf_view(&head);
    assert_int_equal(ws_request_read(&request, &refusal, arena, str_slice(view, 0, view.len - 1)),
                     WS_HANDSHAKE_MORE);
    assert_int_equal(ws_request_read(&request, &refusal, arena, view), WS_HANDSHAKE_REFUSED);
    assert_int_equal(refusal.status, 431);
    refusal.status = 0;
    buf_str(&many, str_from(kept_head));
    for (int i = 0; i < 60; i++)
        buf_str(&many, STR("a: b\r\n"));
    buf_str(&many, STR("\r\n"));
    assert_int_equal(ws_request_read(&request, &refusal, arena, buf_view(&many)),
                     WS_HANDSHAKE_REFUSED);
    assert_int_equal(refusal.status, 431);
}

static void a_refusal_names_what_would_be_right(void **state)
{
    static const struct {
        int status;
        const char *part;
    } cases[] = {
        { 426, "HTTP/1.1 426 Upgrade Required\r\n" },
        { 426, "\r\nSec-WebSocket-Version: 13\r\n" },
        { 426, "\r\nUpgrade: websocket\r\n" },
        { 405, "\r\nAllow: GET\r\n" },
        { 403, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n" },
        { 403, "\r\nContent-Length: 4\r\n\r\nNo.\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(buf_free) struct buf out = { 0 };
        size_t at;

        ws_request_refuse(&out, (struct ws_refusal){ cases[i].status, "No." });
        assert_true(str_find(&at, buf_view(&out), str_from(cases[i].part)));
    }
}

static void client_and_server_agree(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf out = { 0 };
    CLEANUP(buf_free) struct buf back = { 0 };
    struct ws_offer offer = { .host = STR("localhost:8765"),
                              .target = STR("/ws?debate_id=7"),
                              .authorization = STR("Bearer t"),
                              .protocols = STR("b, aragora-v1") };
    struct ws_request request;
    struct ws_answer answer;
    struct ws_refusal refusal;

    (void)state;
    ws_offer_key(&offer);
    assert_int_equal(ws_offer_write(&out, &offer), OK);
    assert_int_equal(ws_request_read(&request, &refusal, arena, buf_view(&out)), WS_HANDSHAKE_OK);
    assert_true(str_is(request.authorization, "Bearer t"));
    assert_null(request.origin.at);
    ws_request_accept(&back, &request, STR("aragora-v1"));
    for (size_t i = 0; i < back.len; i++)
        assert_int_equal(
            ws_answer_read(&answer, &refusal, arena, (struct str){ back.at, i }, &offer),
            WS_HANDSHAKE_MORE);
    assert_int_equal(ws_answer_read(&answer, &refusal, arena, buf_view(&back), &offer),
                     WS_HANDSHAKE_OK);
    assert_true(str_is(answer.protocol, "aragora-v1"));
    assert_int_equal(answer.bytes, back.len);
}

static void a_wrong_answer_is_refused(void **state)
{
#define GOOD     "HTTP/1.1 101 X\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"
#define ACCEPTED "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    static const struct {
        const char *answer;
        int status; /* -1: taken */
    } cases[] = {
        { GOOD ACCEPTED "\r\n", -1 },
        { GOOD ACCEPTED "Sec-WebSocket-Protocol: aragora-v1\r\n\r\n", -1 },
        { GOOD ACCEPTED "Sec-WebSocket-Protocol: other\r\n\r\n", 101 },
        { GOOD ACCEPTED "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 101 },
        { GOOD "\r\n", 101 },
        { GOOD "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", 101 },
        { "HTTP/1.1 101 X\r\nConnection: upgrade\r\n" ACCEPTED "\r\n", 101 },
        { "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n" ACCEPTED "\r\n", 101 },
        { "HTTP/1.1 401 Unauthorized\r\n\r\n", 401 },
        { "HTTP/1.1 200\r\n\r\n", 200 },
        { "HTTP/1.1 1011 X\r\n\r\n", 0 },
        { "220 smtp ready\r\n\r\n", 0 },
        { "HTTP/1.1 101 X\r\nno header\r\n\r\n", 0 },
    };
    struct ws_offer offer = { .protocols = STR("aragora-v1, b"),
                              .key = "dGhlIHNhbXBsZSBub25jZQ==" };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(arena_cleanup) struct arena *arena = arena_new();
        struct ws_answer answer;
        struct ws_refusal refusal = { .status = -1 };

        enum ws_handshake step =
            ws_answer_read(&answer, &refusal, arena, str_from(cases[i].answer), &offer);
        assert_int_equal(step, cases[i].status < 0 ? WS_HANDSHAKE_OK : WS_HANDSHAKE_REFUSED);
        assert_int_equal(refusal.status, cases[i].status);
    }
}

static void an_offer_cannot_carry_a_second_head(void **state)
{
    static const struct ws_offer cases[] = {
        { .host = { "a\r\nX: y", 7 }, .target = { "/", 1 } },
        { .host = { "", 0 }, .target = { "/", 1 } },
        { .host = { "a", 1 }, .target = { "/ x", 3 } },
        { .host = { "a", 1 }, .target = { "x", 1 } },
        { .host = { "a", 1 }, .target = { "/", 1 }, .origin = { "a\nb", 3 } },
        { .host = { "a", 1 }, .target = { "/", 1 }, .authorization = { "a\r\n", 3 } },
        { .host = { "a", 1 }, .target = { "/", 1 }, .protocols = { "a\r\n, b", 6 } },
        { .host = { "a", 1 }, .target = { "/", 1 }, .protocols = { "a b", 3 } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(buf_free) struct buf out = { 0 };

        assert_int_equal(ws_offer_write(&out, &cases[i]), ERR_INVALID_VALUE);
        assert_int_equal(out.len, 0);
    }
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
        cmocka_unit_test(the_accept_vector_of_the_rfc_holds),
        cmocka_unit_test(an_upgrade_is_read_and_answered),
        cmocka_unit_test(a_head_is_taken_or_refused_with_its_status),
        cmocka_unit_test(a_head_that_is_too_large_is_refused),
        cmocka_unit_test(a_refusal_names_what_would_be_right),
        cmocka_unit_test(client_and_server_agree),
        cmocka_unit_test(a_wrong_answer_is_refused),
        cmocka_unit_test(an_offer_cannot_carry_a_second_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
