/* fanout.c - how fast one stream reaches many clients, and how soon.
 *
 * Both runs have the same clients (one epoll loop that counts frames), and send no further ahead
 * of them than WINDOW:
 *   floor   a bare broadcaster: plain sockets, FLOOR_BATCH frames in one write, which the kernel
 *           may join (without TCP_NODELAY: with it a frame costs twice the processor's time)
 *   stream  events appended in the database, told on the bus, sent by aragora-streamd
 *
 * usage: fanout floor CLIENTS MESSAGES BYTES
 *        fanout stream PORT TOKEN DATA-DIRECTORY LOOP CLIENTS MESSAGES BYTES RATE
 * BYTES: of the floor's messages, and of the data of the stream's events.
 * RATE: events a second, for latencies; 0: as fast as they are taken.
 * Prints: frames a second; for the floor the sender's microseconds of processor time for each
 * frame; for the stream the mean bytes of a message, and with RATE microseconds from commit to
 * client, p50 and p99. */
#include "common/auth/principal.h"
#include "common/base/clock.h"
#include "common/base/segment.h"
#include "common/base/settings.h"
#include "common/store/announce.h"
#include "common/ws/frame.h"
#include "common/ws/handshake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLOOR_BATCH  8   /* frames in one write of the floor */
#define STREAM_BATCH 8   /* events in one transaction */
#define WINDOW       256 /* messages that the clients may lag behind */
#define SAMPLES_MAX  4000000
#define STAMP        "\"stamp\":"
#define SILENCE_MS   20000

struct run {
    size_t clients, messages, bytes;
    int64_t rate;
    struct client *all;
    _Atomic int64_t frames; /* received by all clients */
    int64_t text_bytes;     /* of them */
    int64_t first_us, last_us;
    int64_t *samples;
    size_t sample_count;
};

struct client {
    int fd;
    struct ws_parser parser;
    size_t frames;
};

static NORETURN void fail(const char *what)
{
    fprintf(stderr, "fanout: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        fail("connect");
    return fd;
}

static void send_all(int fd, const char *at, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

        if (sent < 0)
            fail("send");
        at += sent;
        len -= (size_t)sent;
    }
}

/* --- Clients ----------------------------------------------------------------------------- */

/* Time from the stamp in the frame to now. */
static void sample(struct run *run, struct str text, int64_t now_us)
{
    size_t at;

    if (!run->rate || run->sample_count == SAMPLES_MAX || !str_find(&at, text, STR(STAMP)))
        return;
    run->samples[run->sample_count++] =
        now_us - strtoll(text.at + at + sizeof(STAMP) - 1, NULL, 10);
}

static void answer_ping(struct client *client, struct str payload)
{
    CLEANUP(buf_free) struct buf pong = { 0 };

    ws_frame_control(&pong, WS_CLIENT, WS_PONG, payload);
    send_all(client->fd, pong.at, pong.len);
}

static void take(struct run *run, struct client *client, struct str input)
{
    struct ws_message message;
    int64_t now_us = monotonic_us();

    while (ws_parse(&message, &client->parser, &input) == WS_MESSAGE) {
        size_t at;

        if (message.opcode == WS_CLOSE) {
            fprintf(stderr, "fanout: a client was closed: %lld\n", (long long)message.close_code);
            exit(1);
        }
        if (message.opcode == WS_PING)
            answer_ping(client, message.data);
        if (message.opcode != WS_TEXT || !str_find(&at, message.data, STR(STAMP)))
            continue;
        sample(run, message.data, now_us);
        client->frames++;
        run->text_bytes += (int64_t)message.data.len;
        atomic_fetch_add(&run->frames, 1);
        if (!run->first_us)
            run->first_us = now_us;
        run->last_us = now_us;
    }
}

/* Until every client has every message. */
static void receive_all(struct run *run)
{
    static char input[1 << 16];
    struct epoll_event events[256];
    int64_t due = (int64_t)(run->clients * run->messages);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    for (size_t i = 0; i < run->clients; i++) {
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = i };
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, run->all[i].fd, &event);
    }
    while (atomic_load(&run->frames) < due) {
        int ready = epoll_wait(epoll_fd, events, 256, SILENCE_MS);

        if (ready <= 0)
            fail("silence");
        for (int i = 0; i < ready; i++) {
            struct client *client = &run->all[events[i].data.u64];
            ssize_t got = recv(client->fd, input, sizeof(input), MSG_DONTWAIT);

            if (got == 0 && client->frames == run->messages) {
                epoll_ctl(epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
                continue;
            }
            if (got == 0 || (got < 0 && errno != EAGAIN))
                fail("receive");
            if (got > 0)
                take(run, client, (struct str){ input, (size_t)got });
        }
    }
    close(epoll_fd);
}

/* Until all of them together are less than the window behind. */
static void wait_for_clients(struct run *run, size_t sent)
{
    int64_t clients = (int64_t)run->clients;

    while ((int64_t)sent * clients - atomic_load(&run->frames) > WINDOW * clients)
        usleep(100);
}

static void new_clients(struct run *run)
{
    run->all = calloc(run->clients, sizeof(*run->all));
    run->samples = calloc(run->rate ? SAMPLES_MAX : 1, sizeof(*run->samples));
    if (!run->all || !run->samples)
        fail("memory");
    for (size_t i = 0; i < run->clients; i++)
        ws_parser_start(&run->all[i].parser, WS_CLIENT, 1 << 20);
}

/* --- The floor --------------------------------------------------------------------------- */

static struct str padding(struct arena *arena, size_t bytes)
{
    char *at = arena_alloc(arena, bytes + 1);

    memset(at, 'x', bytes);
    return (struct str){ at, bytes };
}

struct broadcaster {
    struct run *run;
    int listen_fd;
    int64_t spent_ns; /* on a processor, by the sending alone */
};

static int64_t thread_spent_ns(void)
{
    struct timespec spent;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return (int64_t)spent.tv_sec * 1000000000 + spent.tv_nsec;
}

static void accept_all(int *fds, const struct broadcaster *broadcaster)
{
    for (size_t i = 0; i < broadcaster->run->clients; i++)
        if ((fds[i] = accept(broadcaster->listen_fd, NULL, NULL)) < 0)
            fail("accept");
}

/* Its messages are as long as said. */
static struct str floor_text(struct arena *arena, size_t bytes)
{
    struct str head = arena_printf(arena, "{" STAMP "%lld,\"pad\":\"", (long long)monotonic_us());

    return arena_printf(arena, STR_FMT STR_FMT "\"}", STR_ARG(head),
                        STR_ARG(padding(arena, bytes - head.len - 2)));
}

static void *broadcast(void *arg)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf batch = { 0 };
    struct broadcaster *broadcaster = arg;
    struct run *run = broadcaster->run;
    int *fds = arena_array(arena, run->clients, sizeof(*fds));
    struct str text = floor_text(arena, run->bytes);

    accept_all(fds, broadcaster);
    for (int i = 0; i < FLOOR_BATCH; i++)
        ws_frame_text(&batch, WS_SERVER, text);
    int64_t before_ns = thread_spent_ns();
    for (size_t sent = 0; sent < run->messages; sent += FLOOR_BATCH) {
        wait_for_clients(run, sent);
        for (size_t i = 0; i < run->clients; i++)
            send_all(fds[i], batch.at, batch.len);
    }
    broadcaster->spent_ns = thread_spent_ns() - before_ns;
    for (size_t i = 0; i < run->clients; i++)
        close(fds[i]);
    return NULL;
}

/* Microseconds of processor time that sending a frame took. */
static double run_floor(struct run *run)
{
    struct broadcaster broadcaster = { .run = run };
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pthread_t thread;

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        fail("listen");
    broadcaster.listen_fd = fd;
    if (pthread_create(&thread, NULL, broadcast, &broadcaster) != 0)
        fail("thread");
    for (size_t i = 0; i < run->clients; i++)
        run->all[i].fd = connect_to(ntohs(address.sin_port));
    receive_all(run);
    pthread_join(thread, NULL);
    close(fd);
    return (double)broadcaster.spent_ns / 1000 / (double)atomic_load(&run->frames);
}

/* --- The stream -------------------------------------------------------------------------- */

struct stamp {
    int64_t stamp;
    struct str pad;
};

static const struct field stamp_fields[] = {
    { FIELD(struct stamp, stamp) },
    { FIELD(struct stamp, pad) },
    { 0 },
};

struct publisher {
    struct run *run;
    const char *data;
    struct str loop;
};

static struct db *open_database(struct arena *arena)
{
    struct segment *segment;
    struct db *db;

    if (segment_open(&segment, setting_cstr(SETTING_DATA_DIR)) != OK)
        fail("segment");
    struct db_config config = db_config_read(arena, segment);
    if (db_open(&db, &config) != OK)
        fail("database");
    return db;
}

static void append(struct db *db, struct str loop, struct str pad, size_t count)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(tx_end) struct tx tx = { 0 };

    db_use(db, arena, ORG_DEFAULT);
    if (tx_begin(&tx, db) != OK)
        fail("transaction");
    for (size_t i = 0; i < count; i++) {
        const struct stamp stamp = { monotonic_us(), pad };

        if (event_append(NULL, db,
                         &(struct event_draft){ .type = EVENT_agent_message,
                                                .loop_id = loop,
                                                .fields = stamp_fields,
                                                .data = &stamp }) != OK)
            fail(db_problem(db));
    }
    if (tx_commit(&tx) != OK)
        fail("commit");
}

static void *publish(void *arg)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct publisher *publisher = arg;
    struct run *run = publisher->run;
    struct str pad = padding(arena, run->bytes);
    struct db *db = open_database(arena);
    size_t batch = run->rate ? 1 : STREAM_BATCH;
    int64_t start_us = monotonic_us();

    for (size_t sent = 0; sent < run->messages; sent += batch) {
        wait_for_clients(run, sent);
        if (run->rate) {
            int64_t due_us = start_us + (int64_t)sent * US_PER_S / run->rate;
            int64_t wait_us = due_us - monotonic_us();
            if (wait_us > 0)
                usleep((useconds_t)wait_us);
        }
        append(db, publisher->loop, pad, batch);
    }
    db_close(db);
    return NULL;
}

static void join(struct client *client, int port, const char *token, struct str loop)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf out = { 0 }, head = { 0 };
    struct ws_offer offer = { .host = STR("127.0.0.1"),
                              .target = STR("/ws"),
                              .authorization = arena_printf(arena, "Bearer %s", token) };
    struct ws_answer answer;
    struct ws_refusal refusal;
    struct ws_message message;
    char byte;
    size_t at;

    client->fd = connect_to(port);
    ws_offer_key(&offer);
    if (ws_offer_write(&out, &offer) != OK)
        fail("offer");
    send_all(client->fd, out.at, out.len);
    while (ws_answer_read(&answer, &refusal, arena, buf_view(&head), &offer) == WS_HANDSHAKE_MORE) {
        if (recv(client->fd, &byte, 1, 0) != 1)
            fail("handshake");
        buf_char(&head, byte);
    }
    buf_clear(&out);
    ws_frame_text(&out, WS_CLIENT,
                  arena_printf(arena, "{\"type\":\"subscribe\",\"debate_id\":\"" STR_FMT "\"}",
                               STR_ARG(loop)));
    send_all(client->fd, out.at, out.len);
    for (bool synced = false; !synced;) { /* then it hears all that follows */
        struct str input = { &byte, 1 };

        if (recv(client->fd, &byte, 1, 0) != 1)
            fail("subscribe");
        while (ws_parse(&message, &client->parser, &input) == WS_MESSAGE)
            synced = synced || str_find(&at, message.data, STR("\"in_progress\""));
    }
}

static void run_stream(struct run *run, char **argv)
{
    struct publisher publisher = { run, argv[4], str_from(argv[5]) };
    const char *problem = "";
    pthread_t thread;

    setenv("ARAGORA_DATA_DIR", argv[4], 1);
    if (settings_load(&problem) != OK || announce_open(argv[4]) != OK)
        fail("settings");
    for (size_t i = 0; i < run->clients; i++)
        join(&run->all[i], (int)strtol(argv[2], NULL, 10), argv[3], publisher.loop);
    usleep(300000); /* until the bus is connected */
    if (pthread_create(&thread, NULL, publish, &publisher) != 0)
        fail("thread");
    receive_all(run);
    pthread_join(thread, NULL);
    announce_close();
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    bool floor = argc == 5 && strcmp(argv[1], "floor") == 0;
    bool stream = argc == 10 && strcmp(argv[1], "stream") == 0;
    struct run run = { 0 };

    if (!floor && !stream) {
        fputs("usage: fanout floor|stream ... (see the source)\n", stderr);
        return 2;
    }
    char **counts = argv + (floor ? 2 : 6);
    run.clients = strtoul(counts[0], NULL, 10);
    run.messages = strtoul(counts[1], NULL, 10) / 8 * 8;
    run.bytes = strtoul(counts[2], NULL, 10);
    run.rate = stream ? strtoll(counts[3], NULL, 10) : 0;
    if (floor && run.bytes < 64)
        fail("no room for the stamp");
    new_clients(&run);
    double sender_us = 0;
    if (floor)
        sender_us = run_floor(&run);
    else
        run_stream(&run, argv);
    double seconds = (double)(run.last_us - run.first_us) / (double)US_PER_S;
    printf("%.0f", (double)atomic_load(&run.frames) / (seconds > 0 ? seconds : 1));
    if (floor)
        printf(" %.4f", sender_us);
    else
        printf(" %lld", (long long)(run.text_bytes / atomic_load(&run.frames)));
    if (run.rate) {
        qsort(run.samples, run.sample_count, sizeof(*run.samples), by_value);
        printf(" %lld %lld", (long long)run.samples[run.sample_count / 2],
               (long long)run.samples[run.sample_count * 99 / 100]);
    }
    printf("\n");
    return 0;
}
