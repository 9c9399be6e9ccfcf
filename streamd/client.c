#include "streamd/client.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "streamd/hub.h"
#include "streamd/join.h"
#include "streamd/server.h"
#include "streamd/session.h"
#include "streamd/stream_span.h"

#include <errno.h>
#include <stdlib.h>

#define READ_BYTES   65536
#define READS_A_TURN 4 /* so that one busy client does not keep the others waiting */
#define IOVECS       64
#define FRAME_COST   sizeof(struct frame) /* of a queued frame beside its bytes */
#define HANDSHAKE_US (10 * US_PER_S)
#define CLOSE_US     (5 * US_PER_S)
#define PONG_US      (10 * US_PER_S)
#define STUCK_US     (10 * US_PER_S)
#define HEARTBEAT_US (15 * US_PER_S)

struct client *client_new(struct server *server, int fd, SSL_CTX *tls, struct str address)
{
    struct client *client = calloc(1, sizeof(*client));
    unsigned char random[6];

    if (!client)
        abort();
    client->server = server;
    transport_open(&client->transport, fd, tls);
    client->arena = arena_new();
    client->address = arena_str(client->arena, address);
    client->opened_us = client->progress_us = monotonic_us();
    client->close_due_us = client->opened_us + HANDSHAKE_US;
    client->wanted_from = -1;
    random_bytes(random, sizeof(random));
    struct str id = base64url_text(client->arena, random, sizeof(random));
    memcpy(client->public_id, id.at, id.len);
    memcpy(client->public_id + id.len, "...", 4);
    ws_parser_start(&client->parser, WS_SERVER, server->config->message_max);
    return client;
}

static struct frame *queue_first(const struct queue *queue)
{
    return queue->at[queue->head];
}

static void queue_pop(struct queue *queue)
{
    struct frame *frame = queue_first(queue);

    queue->bytes -= frame->len + FRAME_COST;
    queue->head = (queue->head + 1) % queue->room;
    queue->count--;
    queue->sent = 0;
    frame_drop(frame);
}

static void queue_push(struct queue *queue, struct frame *frame)
{
    if (queue->count == queue->room) {
        size_t room = queue->room ? 2 * queue->room : 16;
        struct frame **at = malloc(room * sizeof(struct frame *));

        if (!at)
            abort();
        for (size_t i = 0; i < queue->count; i++)
            at[i] = queue->at[(queue->head + i) % queue->room];
        free(queue->at);
        queue->at = at;
        queue->head = 0;
        queue->room = room;
    }
    queue->at[(queue->head + queue->count++) % queue->room] = frame;
    queue->bytes += frame->len + FRAME_COST;
}

/* A frame that is partly sent must be finished, or the peer cannot read on. */
static void queue_cut(struct queue *queue)
{
    size_t kept = queue->sent ? 1 : 0;

    while (queue->count > kept) {
        struct frame *last = queue->at[(queue->head + queue->count - 1) % queue->room];

        queue->bytes -= last->len + FRAME_COST;
        queue->count--;
        frame_drop(last);
    }
}

void client_free(struct client *client)
{
    while (client->queue.count)
        queue_pop(&client->queue);
    free(client->queue.at);
    ws_parser_free(&client->parser);
    buf_free(&client->head);
    join_span_end(client, ERR_CANCELLED); /* it has joined, or never will */
    transport_close(&client->transport);
    arena_free(client->arena);
    free(client);
}

void client_flush_later(struct client *client)
{
    if (client->flush_due)
        return;
    client->flush_due = true;
    client->next_due = client->server->due;
    client->server->due = client;
}

static void enqueue(struct client *client, struct frame *frame)
{
    if (!client->queue.count)
        client->progress_us = monotonic_coarse_us();
    frame->queued++;
    queue_push(&client->queue, frame_share(frame));
    client_flush_later(client);
}

bool client_is_ending(const struct client *client)
{
    return client->state == CLIENT_CLOSING || client->gone;
}

/* Without the first, which is on its way: it may be a snapshot that is greater than the queue. */
static size_t waiting_bytes(const struct queue *queue)
{
    return queue->count ? queue->bytes - queue_first(queue)->len - FRAME_COST : 0;
}

void client_send(struct client *client, struct frame *frame)
{
    if (client_is_ending(client))
        return;
    if (waiting_bytes(&client->queue) > client->server->config->queue_max)
        client_drop(client, WS_TRY_LATER, "Slow consumer");
    else
        enqueue(client, frame);
}

void client_send_text(struct client *client, struct str json)
{
    struct frame *frame = frame_text(json);

    client_send(client, frame);
    frame_drop(frame);
}

static void send_bytes(struct client *client, const struct buf *bytes)
{
    struct frame *frame = frame_bytes(buf_view(bytes));

    enqueue(client, frame);
    frame_drop(frame);
}

void client_close(struct client *client, int64_t code, const char *reason)
{
    CLEANUP(buf_free) struct buf close_frame = { 0 };

    if (client_is_ending(client))
        return;
    if (client->state != CLIENT_HANDSHAKE) {
        ws_frame_close(&close_frame, WS_SERVER, code, str_from(reason));
        send_bytes(client, &close_frame);
    }
    client->state = CLIENT_CLOSING;
    client->close_due_us = monotonic_us() + CLOSE_US;
    client->waiting = false; /* reads on, to see the end */
    server_watch(client->server, client);
    client_flush_later(client);
}

void client_drop(struct client *client, int64_t code, const char *reason)
{
    queue_cut(&client->queue);
    client_close(client, code, reason);
}

bool client_is_full(const struct client *client)
{
    return client->queue.bytes > client->server->config->queue_max / 4;
}

void client_leave(struct client *client)
{
    client->gone = true;
    client_flush_later(client); /* freed at the end of the turn: callers still hold it */
}

/* Takes what the socket took off the queue. */
static void queue_sent(struct queue *queue, size_t len)
{
    while (queue->count && len >= queue_first(queue)->len - queue->sent) {
        len -= queue_first(queue)->len - queue->sent;
        queue_pop(queue);
    }
    queue->sent += len;
}

static ssize_t write_some(struct client *client)
{
    const struct queue *queue = &client->queue;
    struct iovec parts[IOVECS];
    size_t count = 0;

    for (; count < queue->count && count < IOVECS; count++) {
        struct frame *frame = queue->at[(queue->head + count) % queue->room];
        size_t skip = count ? 0 : queue->sent;

        parts[count] = (struct iovec){ frame->at + skip, frame->len - skip };
    }
    return transport_writev(&client->transport, parts, (int)count);
}

static bool owes(const struct client *client)
{
    return client->queue.count || transport_owes(&client->transport);
}

void client_flush(struct client *client)
{
    bool was_full = client_is_full(client);
    ssize_t sent = 0;

    while (!client->gone && owes(client) && (sent = write_some(client)) > 0) {
        client->progress_us = monotonic_coarse_us();
        queue_sent(&client->queue, (size_t)sent);
    }
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        client->gone = true;
    if (client->gone) {
        server_remove(client->server, client);
        return;
    }
    if (client->state == CLIENT_CLOSING)
        hub_leave(client); /* not while it closed: the hub may have been sending to it */
    if (client->state == CLIENT_CLOSING && !owes(client))
        transport_shutdown(&client->transport); /* the peer answers with its close, then ends */
    if (client->want_write != owes(client)) {
        client->want_write = owes(client);
        server_watch(client->server, client);
    }
    if (was_full && !client_is_full(client))
        hub_resume(client);
}

static void answer_http(struct client *client, const struct buf *answer)
{
    send_bytes(client, answer);
    client->state = CLIENT_CLOSING;
    client->close_due_us = monotonic_us() + CLOSE_US;
}

/* GET /health, for who supervises the daemon. */
static bool answer_health(struct client *client)
{
    CLEANUP(buf_free) struct buf body = { 0 }, answer = { 0 };
    struct str head = buf_view(&client->head);

    if (!str_starts(head, STR("GET /health ")) || !str_ends(head, STR("\r\n\r\n")))
        return false;
    session_health(client->server, &body);
    buf_printf(&answer,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
               "Connection: close\r\n\r\n" STR_FMT,
               body.len, STR_ARG(buf_view(&body)));
    answer_http(client, &answer);
    return true;
}

static void handshake(struct client *client)
{
    CLEANUP(buf_free) struct buf answer = { 0 };
    struct ws_request request;
    struct ws_refusal refusal;
    struct arena *turn = client->server->turn; /* the head may hold a token: it is not kept */

    if (answer_health(client))
        return;
    enum ws_handshake step = ws_request_read(&request, &refusal, turn, buf_view(&client->head));
    if (step == WS_HANDSHAKE_MORE)
        return;
    if (step == WS_HANDSHAKE_OK && !join_path_known(request.path)) {
        refusal = (struct ws_refusal){ 404, "There is no stream at this path" };
        step = WS_HANDSHAKE_REFUSED;
    }
    if (step == WS_HANDSHAKE_REFUSED) {
        ws_request_refuse(&answer, refusal);
        answer_http(client, &answer);
        return;
    }
    ws_request_accept(&answer, &request,
                      ws_request_offers(&request, STR("aragora-v1")) ? STR("aragora-v1")
                                                                     : STR_NONE);
    struct str rest = str_slice(buf_view(&client->head), request.bytes, client->head.len);
    memmove(client->head.at, rest.at, rest.len);
    client->head.len = rest.len;
    client->state = CLIENT_JOINING;
    client->close_due_us = 0;
    client->ping_us = monotonic_us() + client->server->config->ping_us;
    send_bytes(client, &answer);
    join_start(client, &request);
    server_watch(client->server, client);
}

static void pong(struct client *client, struct str payload)
{
    CLEANUP(buf_free) struct buf frame = { 0 };

    ws_frame_control(&frame, WS_SERVER, WS_PONG, payload);
    struct frame *shared = frame_bytes(buf_view(&frame));
    client_send(client, shared);
    frame_drop(shared);
}

static void message(struct client *client, const struct ws_message *message)
{
    switch (message->opcode) {
    case WS_TEXT:
        session_message(client, message->data);
        break;
    case WS_BINARY:
        session_binary(client);
        break;
    case WS_PING:
        pong(client, message->data);
        break;
    case WS_PONG:
        client->pong_due_us = 0;
        break;
    case WS_CLOSE:
        client_drop(client, message->close_code == WS_NO_CODE ? WS_NORMAL : message->close_code,
                    "");
        break;
    case WS_CONTINUATION:
        break;
    }
}

static void frames(struct client *client, struct str input)
{
    struct ws_message got;
    enum ws_event event = WS_MESSAGE;

    while (event == WS_MESSAGE && !client->waiting && !client_is_ending(client)) {
        event = ws_parse(&got, &client->parser, &input);
        if (event == WS_MESSAGE)
            message(client, &got);
        else if (event == WS_VIOLATION)
            client_close(client, client->parser.violation.code, client->parser.violation.reason);
    }
    if (client->waiting)
        buf_str(&client->head, input);
}

void client_wait(struct client *client)
{
    client->waiting = true;
    server_watch(client->server, client);
}

void client_go_on(struct client *client)
{
    CLEANUP(buf_free) struct buf rest = client->head;

    client->head = (struct buf){ 0 };
    client->waiting = false;
    server_watch(client->server, client);
    frames(client, buf_view(&rest));
}

static void take(struct client *client, struct str input)
{
    if (client->state == CLIENT_CLOSING)
        return; /* read only to see the end */
    if (client->state != CLIENT_HANDSHAKE) {
        frames(client, input);
        return;
    }
    buf_add(&client->head, input.at, input.len);
    handshake(client);
}

void client_readable(struct client *client)
{
    static char input[READ_BYTES];
    const bool wanted_room = client->transport.read_wants_room;
    ssize_t got = 1;

    for (int i = 0; i < READS_A_TURN && got > 0 && !client->waiting; i++) {
        got = transport_read(&client->transport, input, sizeof(input));
        if (got > 0)
            take(client, (struct str){ input, (size_t)got });
    }
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
        client_leave(client);
    else if (client->transport.read_wants_room != wanted_room)
        server_watch(client->server, client);
}

static void ping(struct client *client, int64_t now_us)
{
    CLEANUP(buf_free) struct buf frame = { 0 };

    ws_frame_control(&frame, WS_SERVER, WS_PING, STR(""));
    struct frame *shared = frame_bytes(buf_view(&frame));
    client_send(client, shared);
    frame_drop(shared);
    client->ping_us = now_us + client->server->config->ping_us;
    if (!client->pong_due_us)
        client->pong_due_us = now_us + PONG_US;
}

void client_tick(struct client *client, int64_t now_us)
{
    if (client->close_due_us && now_us >= client->close_due_us) {
        client_leave(client);
        return;
    }
    if (client->state != CLIENT_OPEN)
        return;
    if (client->queue.count && now_us - client->progress_us >= STUCK_US)
        client_drop(client, WS_TRY_LATER, "Slow consumer");
    else if (client->pong_due_us && now_us >= client->pong_due_us)
        client_drop(client, WS_SERVER_ERROR, "Keepalive timeout");
    else if (now_us >= client->ping_us)
        ping(client, now_us);
    if (client->state == CLIENT_OPEN && now_us >= client->heartbeat_us) {
        session_heartbeat(client);
        client->heartbeat_us = now_us + HEARTBEAT_US;
    }
}
