/* test_ws_handshake.c - the upgrade to WebSocket, as RFC 6455 has it. */
#include "common/ws/handshake.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char kept_head[] = "GET /ws?debate_id=7&token=t HTTP/1.1\r\n"
                                "Host: example.org\r\n"
                                "Upgrade: websocket\r\n"
                                "Connection: Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "Sec-WebSocket-Version: 13\r\n";

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
    assert_int_equal(request.headers.count, 11);
    assert_true(ws_request_has(&request, STR("x-forwarded-for")));
    assert_false(ws_request_has(&request, STR("x-forwarded")));
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

static const struct {
    const char *from, *to;
    int status; /* 0: taken */
} heads[] = {
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

static void a_head_is_taken_or_refused_with_its_status(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++) {
        CLEANUP(arena_cleanup) struct arena *arena = arena_new();
        CLEANUP(buf_free) struct buf head = { 0 };
        struct ws_request request = { 0 };
        struct ws_refusal refusal = { 0 };

        head_write(&head, heads[i].from, heads[i].to);
        enum ws_handshake step = ws_request_read(&request, &refusal, arena, buf_view(&head));
        if (refusal.status != heads[i].status)
            print_error("case %zu: %s\n", i, heads[i].to);
        assert_int_equal(refusal.status, heads[i].status);
        assert_int_equal(step, heads[i].status ? WS_HANDSHAKE_REFUSED : WS_HANDSHAKE_OK);
        assert_int_equal(request.bytes, heads[i].status ? 0 : head.len);
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
