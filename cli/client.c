#include "cli/client.h"

#include "common/base/buf.h"
#include "common/base/json.h"
#include "common/ws/frame.h"
#include "common/ws/handshake.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdlib.h>

#define CONNECT_S    10L
#define REQUEST_S    60L
#define ANSWER_MAX   ((size_t)64 * 1024 * 1024) /* bytes */
#define MESSAGE_MAX  ((size_t)16 * 1024 * 1024)
#define HANDSHAKE_MS 10000

static void free_curl(CURL **curl)
{
    curl_easy_cleanup(*curl);
}

static void free_headers(struct curl_slist **headers)
{
    curl_slist_free_all(*headers);
}

static size_t take_body(char *at, size_t size, size_t count, void *arg)
{
    struct buf *body = arg;

    if (body->len + size * count > ANSWER_MAX)
        return 0; /* curl ends the transfer */
    buf_add(body, at, size * count);
    return size * count;
}

static CURL *new_curl(struct arena *arena, const struct endpoint *endpoint, struct str url,
                      char error[CURL_ERROR_SIZE])
{
    CURL *curl = curl_easy_init();

    if (!curl)
        abort();
    error[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_URL, arena_cstr(arena, url));
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (endpoint->ca.at)
        curl_easy_setopt(curl, CURLOPT_CAINFO, arena_cstr(arena, endpoint->ca));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    return curl;
}

static struct str problem_of(struct arena *arena, CURLcode code, const char *error)
{
    return arena_printf(arena, "%s", *error ? error : curl_easy_strerror(code));
}

static struct str bearer(struct arena *arena, const struct endpoint *endpoint)
{
    return arena_printf(arena, "Bearer " STR_FMT, STR_ARG(endpoint->token));
}

struct answer client_request(struct arena *arena, const struct endpoint *endpoint,
                             const char *method, struct str path, struct str body)
{
    CLEANUP(buf_free) struct buf received = { 0 };
    CLEANUP(free_headers) struct curl_slist *headers = NULL;
    char error[CURL_ERROR_SIZE];
    long status = 0;
    struct str url = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(endpoint->url), STR_ARG(path));
    CLEANUP(free_curl) CURL *curl = new_curl(arena, endpoint, url, error);

    if (endpoint->token.at)
        headers = curl_slist_append(
            headers,
            arena_printf(arena, "Authorization: " STR_FMT, STR_ARG(bearer(arena, endpoint))).at);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, REQUEST_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &received);
    if (strcmp(method, "POST") == 0) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.at ? body.at : "");
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK)
        return (struct answer){ .problem = problem_of(arena, code, error) };
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return (struct answer){ .status = (int)status, .body = arena_str(arena, buf_view(&received)) };
}

struct str answer_problem(struct arena *arena, const struct answer *answer)
{
    struct json_object *body;
    struct str error, suggestion;

    if (answer->problem.at)
        return answer->problem;
    if (json_parse(&body, arena, answer->body, &json_limits_wide, NULL) != OK ||
        !json_get_str(&error, body, "error"))
        return arena_printf(arena, "HTTP status %d", answer->status);
    if (!json_get_str(&suggestion, body, "suggestion"))
        return error;
    return arena_printf(arena, STR_FMT "; " STR_FMT, STR_ARG(error), STR_ARG(suggestion));
}

/* --- The stream -------------------------------------------------------------------------- */

struct stream {
    CURL *curl;
    struct ws_parser parser;
    char input[16384];
    struct str rest; /* of input */
    bool lost;
};

/* Waits until the socket can be read (or written); false: not within the limit. */
static bool wait_socket(CURL *curl, short events, int limit_ms)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    struct pollfd poll_fd = { .events = events };

    curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd);
    poll_fd.fd = fd;
    return fd != CURL_SOCKET_BAD && poll(&poll_fd, 1, limit_ms) > 0;
}

static bool send_all(CURL *curl, struct str bytes)
{
    while (bytes.len) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(curl, bytes.at, bytes.len, &sent);

        if (code == CURLE_AGAIN ? !wait_socket(curl, POLLOUT, HANDSHAKE_MS) : code != CURLE_OK)
            return false;
        bytes = str_slice(bytes, sent, bytes.len);
    }
    return true;
}

/* *got 0: nothing within the limit. false: the connection has ended. */
static bool receive(CURL *curl, char *out, size_t size, size_t *got, int limit_ms)
{
    CURLcode code = curl_easy_recv(curl, out, size, got);

    if (code == CURLE_AGAIN) {
        *got = 0;
        if (!wait_socket(curl, POLLIN, limit_ms))
            return true;
        code = curl_easy_recv(curl, out, size, got);
        if (code == CURLE_AGAIN) {
            *got = 0;
            return true;
        }
    }
    return code == CURLE_OK && *got > 0;
}

/* "host:port" and the path of a URL. */
static void split_url(struct str *host, struct str *path, struct str url)
{
    size_t at, slash;
    struct str rest = url;

    if (str_find(&at, url, STR("://")))
        rest = str_slice(url, at + 3, url.len);
    if (!str_find(&slash, rest, STR("/")))
        slash = rest.len;
    *host = str_slice(rest, 0, slash);
    *path = str_slice(rest, slash, rest.len);
}

static enum ws_handshake read_answer(struct stream *stream, struct arena *arena,
                                     const struct ws_offer *offer, struct ws_refusal *refusal)
{
    CLEANUP(buf_free) struct buf head = { 0 };
    struct ws_answer answer;
    enum ws_handshake step = WS_HANDSHAKE_MORE;
    size_t got;

    while (step == WS_HANDSHAKE_MORE) {
        if (!receive(stream->curl, stream->input, sizeof(stream->input), &got, HANDSHAKE_MS) ||
            !got) {
            *refusal = (struct ws_refusal){ 0, "The server does not answer" };
            return WS_HANDSHAKE_REFUSED;
        }
        buf_add(&head, stream->input, got);
        step = ws_answer_read(&answer, refusal, arena, buf_view(&head), offer);
    }
    if (step == WS_HANDSHAKE_OK) { /* what came behind the head is frames already */
        size_t rest = head.len - answer.bytes;

        memcpy(stream->input, head.at + answer.bytes, rest);
        stream->rest = (struct str){ stream->input, rest };
    }
    return step;
}

static enum ws_handshake handshake(struct stream *stream, struct arena *arena,
                                   const struct endpoint *endpoint, struct ws_refusal *refusal)
{
    CLEANUP(buf_free) struct buf request = { 0 };
    struct ws_offer offer = { .authorization =
                                  endpoint->token.at ? bearer(arena, endpoint) : STR_NONE };
    struct str path;

    split_url(&offer.host, &path, endpoint->url);
    offer.target = arena_printf(arena, STR_FMT "/ws", STR_ARG(path));
    ws_offer_key(&offer);
    if (ws_offer_write(&request, &offer) != OK || !send_all(stream->curl, buf_view(&request))) {
        *refusal = (struct ws_refusal){ 0, "The handshake cannot be sent" };
        return WS_HANDSHAKE_REFUSED;
    }
    return read_answer(stream, arena, &offer, refusal);
}

static bool subscribe(struct stream *stream, struct arena *arena, struct str loop_id, int64_t from)
{
    CLEANUP(buf_free) struct buf frame = { 0 };

    ws_frame_text(&frame, WS_CLIENT,
                  arena_printf(arena,
                               "{\"type\":\"subscribe\",\"debate_id\":\"" STR_FMT
                               "\",\"replay_from_seq\":%lld}",
                               STR_ARG(loop_id), (long long)from));
    return send_all(stream->curl, buf_view(&frame));
}

struct stream *stream_open(struct arena *arena, const struct endpoint *endpoint, struct str loop_id,
                           int64_t from, struct str *problem, bool *refused)
{
    char error[CURL_ERROR_SIZE];
    struct ws_refusal refusal = { 0 };
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        abort();
    *refused = false;
    stream->curl = new_curl(arena, endpoint, endpoint->url, error);
    ws_parser_start(&stream->parser, WS_CLIENT, MESSAGE_MAX);
    curl_easy_setopt(stream->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(stream->curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    CURLcode code = curl_easy_perform(stream->curl);
    if (code != CURLE_OK) {
        *problem = problem_of(arena, code, error);
    } else if (handshake(stream, arena, endpoint, &refusal) != WS_HANDSHAKE_OK) {
        *problem = arena_printf(arena, "%s (status %d)", refusal.reason, refusal.status);
        *refused = refusal.status >= 400 && refusal.status < 500 && refusal.status != 429;
    } else if (subscribe(stream, arena, loop_id, from)) {
        return stream;
    } else {
        *problem = STR("The connection ended at once");
    }
    stream_close(stream);
    return NULL;
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    ws_parser_free(&stream->parser);
    curl_easy_cleanup(stream->curl);
    free(stream);
}

/* Ping and close are answered here; a close ends the stream. */
static enum stream_step take(struct str *out, struct stream *stream,
                             const struct ws_message *message)
{
    CLEANUP(buf_free) struct buf frame = { 0 };

    switch (message->opcode) {
    case WS_TEXT:
        *out = message->data;
        return STREAM_MESSAGE;
    case WS_PING:
        ws_frame_control(&frame, WS_CLIENT, WS_PONG, message->data);
        return send_all(stream->curl, buf_view(&frame)) ? STREAM_QUIET : STREAM_LOST;
    case WS_CLOSE:
        return STREAM_LOST;
    case WS_BINARY:
    case WS_PONG:
    case WS_CONTINUATION:
        break;
    }
    return STREAM_QUIET;
}

enum stream_step stream_next(struct str *message, struct stream *stream, int limit_ms)
{
    struct ws_message got;
    size_t len;

    for (;;) {
        enum ws_event event = ws_parse(&got, &stream->parser, &stream->rest);
        if (event == WS_VIOLATION)
            return STREAM_LOST;
        if (event == WS_MESSAGE) {
            enum stream_step step = take(message, stream, &got);
            if (step != STREAM_QUIET)
                return step;
            continue;
        }
        if (!receive(stream->curl, stream->input, sizeof(stream->input), &len, limit_ms))
            return STREAM_LOST;
        if (!len)
            return STREAM_QUIET;
        stream->rest = (struct str){ stream->input, len };
    }
}
