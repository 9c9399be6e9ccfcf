/* test_http.c - the HTTP client against a server that misbehaves as asked, on loopback. */
#include "common/base/clock.h"
#include "common/http/client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    int listener;
    int port;
    atomic_int requests;
    _Atomic int64_t closed_us; /* when a client last left a call that hangs */
    struct http_client *client;
    struct arena *arena;
} at;

/* --- The server -------------------------------------------------------------------------- */

static void send_text(int fd, const char *text)
{
    (void)!write(fd, text, strlen(text));
}

static void send_whole(int fd, int status, const char *header, const char *body)
{
    char head[256];

    snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n", status,
             strlen(body), header);
    send_text(fd, head);
    send_text(fd, body);
}

static void hang(int fd)
{
    char byte;

    while (read(fd, &byte, 1) > 0)
        ;
    at.closed_us = monotonic_us();
}

static void send_redirect(int fd, const char *request)
{
    char header[128];
    const char *hops = strstr(request, "/hops");

    if (strstr(request, "/away"))
        snprintf(header, sizeof(header), "Location: http://localhost:%d/echo\r\n", at.port);
    else if (strstr(request, "/ftp"))
        snprintf(header, sizeof(header), "Location: ftp://127.0.0.1/x\r\n");
    else if (hops && hops[5] > '1')
        snprintf(header, sizeof(header), "Location: /hops%c\r\n", hops[5] - 1);
    else
        snprintf(header, sizeof(header), "Location: echo\r\n");
    send_whole(fd, strstr(request, "/keep") ? 307 : 302, header, "not for anybody");
}

static void send_large(int fd)
{
    char piece[1000];

    memset(piece, 'x', sizeof(piece));
    send_text(fd, "HTTP/1.1 200 X\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 1000; i++)
        if (write(fd, piece, sizeof(piece)) < 0)
            return;
}

static void answer(int fd, const char *request)
{
    at.requests++;
    if (strstr(request, " /none"))
        return;
    if (strstr(request, " /hang"))
        hang(fd);
    else if (strstr(request, " /large"))
        send_large(fd);
    else if (strstr(request, " /cut"))
        send_text(fd, "HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nhalf");
    else if (strstr(request, " /stall")) {
        send_text(fd, "HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nhalf");
        hang(fd);
    } else if (strstr(request, "/hops") || strstr(request, " /away") || strstr(request, " /ftp"))
        send_redirect(fd, request);
    else if (strstr(request, " /busy"))
        send_whole(fd, 429, "Retry-After: 7\r\n", "busy");
    else
        send_whole(fd, 200, "X-Mark: here\r\n", request);
}

/* One request per connection; its head and body in one text. */
static void *serve_one(void *arg)
{
    int fd = *(int *)arg;
    char request[4096];
    size_t len = 0;
    ssize_t got;

    while (len + 1 < sizeof(request) &&
           (got = read(fd, request + len, sizeof(request) - len - 1)) > 0) {
        request[len += (size_t)got] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        if (end && (!strstr(request, "Content-Length") || strstr(end, "the body")))
            break;
    }
    request[len] = '\0';
    if (len)
        answer(fd, request);
    close(fd);
    free(arg);
    return NULL;
}

static void *serve(void *arg)
{
    pthread_t thread;
    int fd;

    while ((fd = accept(at.listener, NULL, NULL)) >= 0) {
        int *own = malloc(sizeof(*own));

        *own = fd;
        if (pthread_create(&thread, NULL, serve_one, own) == 0)
            pthread_detach(thread);
    }
    return arg;
}

static int start_server(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    pthread_t thread;

    (void)state;
    signal(SIGPIPE, SIG_IGN); /* the server's writes to those who left */
    at.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(at.listener, (struct sockaddr *)&address, len) != 0 || listen(at.listener, 16) != 0 ||
        getsockname(at.listener, (struct sockaddr *)&address, &len) != 0)
        return -1;
    at.port = ntohs(address.sin_port);
    at.arena = arena_new();
    return pthread_create(&thread, NULL, serve, NULL) == 0 && pthread_detach(thread) == 0 &&
                   http_client_new(&at.client, &(struct http_config){ 0 }) == OK
               ? 0
               : -1;
}

static int stop_server(void **state)
{
    (void)state;
    http_client_free(at.client);
    arena_free(at.arena);
    shutdown(at.listener, SHUT_RDWR);
    close(at.listener);
    return 0;
}

/* --- The client -------------------------------------------------------------------------- */

static struct http_request request_to(const char *path)
{
    return (struct http_request){
        .method = "GET",
        .url = arena_printf(at.arena, "http://127.0.0.1:%d%s", at.port, path),
        .headers = { { "Authorization", STR("Bearer of-a-key"), true }, { "X-Open", STR("yes") } },
        .reach = HTTP_OPERATOR,
        .limits = { .connect_us = 2 * US_PER_S, .total_us = 5 * US_PER_S },
    };
}

struct outcome {
    int status;
    enum http_fault fault;
    struct str body, mark, retry_after;
    int64_t took_us;
};

static struct outcome run(const struct http_request *request)
{
    CLEANUP(buf_free) struct buf body = { 0 };
    int64_t from_us = monotonic_us();
    struct http_call *call = http_start(at.client, request);

    while (http_read(call, &body) == HTTP_RUNNING) {
        http_wait(at.client, http_due_us(call));
        http_advance(at.client);
    }
    struct outcome outcome = {
        .status = http_status(call),
        .fault = http_fault(call),
        .body = arena_str(at.arena, buf_view(&body)),
        .mark = arena_str(at.arena, http_answer_header(call, "x-mark")),
        .retry_after = arena_str(at.arena, http_answer_header(call, "Retry-After")),
        .took_us = monotonic_us() - from_us,
    };
    http_end(call);
    return outcome;
}

static bool contains(struct str text, const char *part)
{
    size_t place;

    return str_find(&place, text, str_from(part));
}

static void an_answer_comes_whole_with_status_and_headers(void **state)
{
    struct http_request request = request_to("/echo");

    (void)state;
    request.method = "POST";
    request.body = STR("the body");
    struct outcome outcome = run(&request);
    assert_int_equal(outcome.fault, HTTP_NO_FAULT);
    assert_int_equal(outcome.status, 200);
    assert_true(str_is(outcome.mark, "here"));
    assert_true(str_starts(outcome.body, STR("POST /echo HTTP/1.1\r\n")));
    assert_true(str_ends(outcome.body, STR("\r\n\r\nthe body")));
    assert_true(contains(outcome.body, "Authorization: Bearer of-a-key\r\n"));
    request = request_to("/busy");
    outcome = run(&request);
    assert_int_equal(outcome.status, 429);
    assert_true(str_is(outcome.retry_after, "7"));
}

static void each_limit_has_its_own_fault(void **state)
{
    static const struct {
        const char *path;
        struct http_limits limits;
        enum http_fault fault;
    } cases[] = {
        { "/hang", { .first_byte_us = 100000, .total_us = 5000000 }, HTTP_LATE_FIRST_BYTE },
        { "/hang", { .total_us = 100000 }, HTTP_LATE_END },
        { "/stall", { .first_byte_us = 3000000, .between_us = 100000 }, HTTP_LATE_CHUNK },
        { "/stall", { .between_us = 3000000, .total_us = 100000 }, HTTP_LATE_END },
        { "/large", { .bytes = 5000 }, HTTP_TOO_LARGE },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_request request = request_to(cases[i].path);

        request.limits = cases[i].limits;
        struct outcome outcome = run(&request);
        assert_int_equal(outcome.fault, cases[i].fault);
        assert_true(outcome.took_us < US_PER_S);
        assert_true(outcome.body.len <= 5000);
    }
}

static void a_broken_answer_is_told_from_none(void **state)
{
    struct http_request request = request_to("/cut");
    struct outcome outcome = run(&request);

    (void)state;
    assert_int_equal(outcome.fault, HTTP_CUT);
    assert_true(str_is(outcome.body, "half"));
    assert_false(http_fault_is_early(outcome.fault));
    request = request_to("/none");
    assert_int_equal(run(&request).fault, HTTP_NO_ANSWER);
    request.url = STR("http://127.0.0.1:1/");
    assert_int_equal(run(&request).fault, HTTP_NO_CONNECTION);
    request.url = STR("http://nowhere.invalid/");
    assert_int_equal(run(&request).fault, HTTP_NO_NAME);
}

static void only_web_addresses_without_credentials_are_called(void **state)
{
    static const char *const urls[] = { "file:///etc/passwd",
                                        "ftp://127.0.0.1/",
                                        "gopher://x/",
                                        "",
                                        "http://",
                                        "127.0.0.1",
                                        "http://user:secret@127.0.0.1/" };
    struct http_request request = request_to("/echo");

    (void)state;
    for (size_t i = 0; i < COUNT(urls); i++) {
        request.url = str_from(urls[i]);
        assert_int_equal(run(&request).fault, HTTP_BAD_REQUEST);
    }
    request = request_to("/echo");
    request.headers[1].value = STR("yes\r\nX-Smuggled: yes");
    assert_int_equal(run(&request).fault, HTTP_BAD_REQUEST);
}

static void what_a_tenant_says_reaches_no_private_address(void **state)
{
    struct http_request request = request_to("/echo");
    int before = at.requests;

    (void)state;
    request.reach = HTTP_PUBLIC;
    assert_int_equal(run(&request).fault, HTTP_BLOCKED);
    request.url = arena_printf(at.arena, "http://localhost:%d/echo", at.port);
    assert_int_equal(run(&request).fault, HTTP_BLOCKED);
    request.url = arena_printf(at.arena, "http://[::ffff:127.0.0.1]:%d/echo", at.port);
    assert_int_equal(run(&request).fault, HTTP_BLOCKED);
    request.url = arena_printf(at.arena, "http://2130706433:%d/echo", at.port);
    assert_int_equal(run(&request).fault, HTTP_BLOCKED);
    assert_int_equal(at.requests, before);
    request = request_to("/echo"); /* nor by a connection that another call left open */
    assert_int_equal(run(&request).fault, HTTP_NO_FAULT);
    request.reach = HTTP_PUBLIC;
    assert_int_equal(run(&request).fault, HTTP_BLOCKED);
}

static void offline_reaches_this_machine_only(void **state)
{
    struct http_request request = request_to("/echo");

    (void)state;
    request.reach = HTTP_LOOPBACK;
    assert_int_equal(run(&request).fault, HTTP_NO_FAULT);
    request.url = STR("http://192.0.2.1/");
    assert_int_equal(run(&request).fault, HTTP_BLOCKED);
    request = request_to("/away");
    request.reach = HTTP_LOOPBACK;
    assert_int_equal(run(&request).fault, HTTP_BLOCKED);
}

static void redirects_are_followed_three_times(void **state)
{
    struct http_request request = request_to("/hops3");
    struct outcome outcome = run(&request);

    (void)state;
    assert_int_equal(outcome.fault, HTTP_NO_FAULT);
    assert_true(contains(outcome.body, "GET /echo "));
    assert_true(contains(outcome.body, "of-a-key"));
    request = request_to("/hops4");
    assert_int_equal(run(&request).fault, HTTP_TOO_MANY_REDIRECTS);
    request = request_to("/ftp");
    assert_int_equal(run(&request).fault, HTTP_BAD_REQUEST);
}

static void a_redirect_keeps_the_body_only_where_it_must(void **state)
{
    struct http_request request = request_to("/keep/hops1");

    (void)state;
    request.method = "POST";
    request.body = STR("the body");
    assert_true(contains(run(&request).body, "POST /keep/echo "));
    request.url = request_to("/hops1").url;
    struct outcome outcome = run(&request);
    assert_true(contains(outcome.body, "GET /echo "));
    assert_false(contains(outcome.body, "the body"));
}

static void a_redirect_to_another_origin_is_checked_again(void **state)
{
    struct http_request request = request_to("/away");
    int before = at.requests;

    (void)state;
    assert_int_equal(run(&request).fault, HTTP_BLOCKED);
    assert_int_equal(at.requests, before + 1);
}

static void ending_a_call_closes_its_connection_at_once(void **state)
{
    CLEANUP(buf_free) struct buf body = { 0 };
    struct http_request request = request_to("/stall");
    struct http_call *call = http_start(at.client, &request);

    (void)state;
    while (!body.len) {
        http_wait(at.client, monotonic_us() + US_PER_S);
        http_advance(at.client);
        assert_int_equal(http_read(call, &body), HTTP_RUNNING);
    }
    at.closed_us = 0;
    int64_t from_us = monotonic_us();
    http_end(call);
    while (!at.closed_us && monotonic_us() - from_us < US_PER_S)
        usleep(1000);
    assert_true(at.closed_us && at.closed_us - from_us < US_PER_S / 2);
}

static void calls_run_side_by_side(void **state)
{
    CLEANUP(buf_free) struct buf body = { 0 };
    struct http_request slow = request_to("/hang"), quick = request_to("/echo");
    struct http_call *hanging = http_start(at.client, &slow);

    (void)state;
    assert_int_equal(run(&quick).status, 200);
    assert_int_equal(http_read(hanging, &body), HTTP_RUNNING);
    http_end(hanging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_whole_with_status_and_headers),
        cmocka_unit_test(each_limit_has_its_own_fault),
        cmocka_unit_test(a_broken_answer_is_told_from_none),
        cmocka_unit_test(only_web_addresses_without_credentials_are_called),
        cmocka_unit_test(what_a_tenant_says_reaches_no_private_address),
        cmocka_unit_test(offline_reaches_this_machine_only),
        cmocka_unit_test(redirects_are_followed_three_times),
        cmocka_unit_test(a_redirect_keeps_the_body_only_where_it_must),
        cmocka_unit_test(a_redirect_to_another_origin_is_checked_again),
        cmocka_unit_test(ending_a_call_closes_its_connection_at_once),
        cmocka_unit_test(calls_run_side_by_side),
    };

    return cmocka_run_group_tests(tests, start_server, stop_server);
}
