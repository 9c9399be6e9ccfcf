#include "streamd/server.h"

#include "common/base/clock.h"
#include "common/base/local_socket.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "common/metrics/series.h"
#include "streamd/hub.h"
#include "streamd/join.h"
#include "streamd/reader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG     512
#define EVENTS      256 /* of one epoll_wait() */
#define ACCEPTS     64  /* of one turn */
#define TICK_US     US_PER_S
#define STOP_US     (5 * US_PER_S)
#define NEWS_A_TURN 64          /* then sockets are written to, so that a burst fills no queue */
#define UNSENT_MAX  (64 * 1024) /* bytes that the kernel takes beyond the client's window */

/* What epoll says is ready, where it is no client. */
enum { WATCH_LISTEN = 1, WATCH_LOCAL, WATCH_SIGNAL, WATCH_READER, WATCH_BUS, WATCH_CLIENTS = 16 };

/* --- Counts ------------------------------------------------------------------------------ */

struct count {
    struct table_place place;
    int64_t clients, active; /* active: of an organisation, its loops */
    char key[];
};

static struct count *count_get(struct table *counts, struct str key)
{
    struct count *found = table_find(counts, key);

    if (found)
        return found;
    found = calloc(1, sizeof(*found) + key.len);
    if (!found)
        abort();
    memcpy(found->key, key.at, key.len);
    table_add(counts, &found->place, (struct str){ found->key, key.len });
    return found;
}

static void count_free(void *counts, struct table_place *place)
{
    table_remove(counts, place);
    free((struct count *)place);
}

int64_t server_address_count(struct server *server, struct str address, int change)
{
    struct count *count = count_get(&server->addresses, address);
    int64_t clients = count->clients += change;

    if (!clients)
        count_free(&server->addresses, &count->place);
    return clients;
}

struct tenant_counts server_tenant(struct server *server, struct str org_id, int change)
{
    struct count *count =
        change > 0 ? count_get(&server->tenants, org_id) : table_find(&server->tenants, org_id);

    if (!count)
        return (struct tenant_counts){ 0 };
    count->clients += change;
    return (struct tenant_counts){ count->clients, count->active };
}

void server_tenant_active(struct server *server, struct str org_id, int64_t active)
{
    struct count *count = table_find(&server->tenants, org_id);

    if (count) /* nobody of it is here: nobody asks */
        count->active = active;
}

static void tenant_idle(void *tenants, struct table_place *place)
{
    struct count *count = (struct count *)place;

    count->active = 0;
    if (!count->clients)
        count_free(tenants, place);
}

void server_tenants_idle(struct server *server)
{
    table_each(&server->tenants, tenant_idle, &server->tenants);
}

static void counts_free(struct table *counts)
{
    table_each(counts, count_free, counts);
    table_free(counts);
}

/* --- Clients ----------------------------------------------------------------------------- */

struct client *server_client(struct server *server, uint64_t id)
{
    size_t slot = (size_t)(id & UINT32_MAX);
    struct client *client = slot < server->slots ? server->by_slot[slot] : NULL;

    return client && client->id == id ? client : NULL;
}

static size_t free_slot(struct server *server)
{
    size_t slot = WATCH_CLIENTS, slots = server->slots ? 2 * server->slots : 256;

    while (slot < server->slots && server->by_slot[slot])
        slot++;
    if (slot < server->slots)
        return slot;
    server->by_slot = realloc(server->by_slot, slots * sizeof(struct client *));
    if (!server->by_slot)
        abort();
    memset(server->by_slot + server->slots, 0, (slots - server->slots) * sizeof(struct client *));
    server->slots = slots;
    return slot;
}

static void watch(struct server *server, int fd, uint64_t what, uint32_t events, int operation)
{
    struct epoll_event event = { .events = events, .data.u64 = what };

    (void)epoll_ctl(server->epoll_fd, operation, fd, &event);
}

static uint32_t wishes(const struct client *client)
{
    uint32_t events = client->want_write || client->transport.read_wants_room ? EPOLLOUT : 0;

    return client->waiting ? events : events | EPOLLIN;
}

void server_watch(struct server *server, struct client *client)
{
    watch(server, client->transport.fd, client->id, wishes(client), EPOLL_CTL_MOD);
}

void server_add(struct server *server, struct client *client)
{
    size_t slot = free_slot(server);

    client->id = ++server->generation << 32 | slot;
    server->by_slot[slot] = client;
    client->next = server->clients;
    if (client->next)
        client->next->prev = client;
    server->clients = client;
    server->client_count++;
    (void)server_address_count(server, client->address, 1);
    watch(server, client->transport.fd, client->id, wishes(client), EPOLL_CTL_ADD);
}

void server_remove(struct server *server, struct client *client)
{
    hub_leave(client);
    server->by_slot[client->id & UINT32_MAX] = NULL;
    if (client->prev)
        client->prev->next = client->next;
    else
        server->clients = client->next;
    if (client->next)
        client->next->prev = client->prev;
    server->client_count--;
    (void)server_address_count(server, client->address, -1);
    if (client->authenticated)
        (void)server_tenant(server, client->who.org_id, -1);
    client_free(client);
}

static struct str address_text(char out[INET6_ADDRSTRLEN], const struct sockaddr_storage *peer)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)peer;
    const struct sockaddr_in *four = (const struct sockaddr_in *)peer;
    if (peer->ss_family == AF_UNIX) /* the web server, whose forwarding headers are to count */
        return STR("127.0.0.1");
    const void *bytes =
        peer->ss_family == AF_INET ? (const void *)&four->sin_addr : (const void *)&six->sin6_addr;

    if (!inet_ntop(peer->ss_family, bytes, out, INET6_ADDRSTRLEN))
        return STR("unknown");
    struct str text = str_from(out), mapped = STR("::ffff:");
    return str_starts(text, mapped) && memchr(text.at, '.', text.len)
               ? str_slice(text, mapped.len, text.len)
               : text;
}

/* A connection that cannot be taken stays in the backlog, and would wake the loop at once again. */
static void rest_listener(struct server *server, bool full, const char *problem)
{
    const uint32_t events = full ? 0 : EPOLLIN;

    server->full = full;
    if (server->listen_fd >= 0)
        watch(server, server->listen_fd, WATCH_LISTEN, events, EPOLL_CTL_MOD);
    if (server->local_fd >= 0)
        watch(server, server->local_fd, WATCH_LOCAL, events, EPOLL_CTL_MOD);
    if (full)
        log_event(LOG_WARNING, "connection not taken", "problem", problem);
}

/* Frames are gathered here, so the kernel need not wait for more; and who does not read is known
 * by our queue, before the kernel has taken megabytes for it. */
static void tune_socket(int fd)
{
    const int yes = 1, unsent = UNSENT_MAX;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static void accept_clients(struct server *server, int listen_fd, SSL_CTX *tls)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        char text[INET6_ADDRSTRLEN];
        int fd = accept4(listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                rest_listener(server, true, strerror(errno));
            return;
        }
        tune_socket(fd);
        server_add(server, client_new(server, fd, tls, address_text(text, &peer)));
    }
}

/* --- The loop ---------------------------------------------------------------------------- */

static void hear_bus(struct server *server)
{
    struct announced announced;
    struct str head, body;
    int heard = 0;

    while (heard < NEWS_A_TURN && bus_receive(server->bus, &head, &body)) {
        heard++;
        if (announced_read(&announced, head))
            hub_event(server->hub, &announced, body);
    }
    server->news_left = heard == NEWS_A_TURN;
}

static void take_answer(struct server *server, const struct query *query)
{
    struct client *client = server_client(server, query->client_id);

    switch (query->kind) {
    case QUERY_JOIN:
        if (client && !client_is_ending(client))
            join_answered(client, query);
        break;
    case QUERY_SNAPSHOT:
        if (client && !client_is_ending(client))
            hub_snapshot(client, query);
        break;
    case QUERY_EVENTS:
        hub_events(server->hub, query);
        break;
    case QUERY_SWEEP:
        hub_swept(server->hub, query);
        break;
    }
}

static void take_answers(struct server *server)
{
    struct query *query;
    eventfd_t count;

    (void)eventfd_read(reader_descriptor(server->reader), &count);
    while ((query = reader_answer(server->reader))) {
        take_answer(server, query);
        query_free(query);
    }
}

static void client_ready(struct server *server, uint64_t id, uint32_t events)
{
    struct client *client = server_client(server, id);

    if (!client)
        return;
    if (events & (EPOLLERR | EPOLLHUP)) {
        client_leave(client);
        return;
    }
    if (events & EPOLLIN || client->transport.read_wants_room)
        client_readable(client);
    if (events & EPOLLOUT)
        client_flush_later(client);
}

static void handle(struct server *server, const struct epoll_event *event)
{
    struct signalfd_siginfo info;

    switch (event->data.u64) {
    case WATCH_LISTEN:
        accept_clients(server, server->listen_fd, server->config->tls);
        break;
    case WATCH_LOCAL:
        accept_clients(server, server->local_fd, NULL);
        break;
    case WATCH_SIGNAL:
        if (read(server->signal_fd, &info, sizeof(info)) == sizeof(info))
            server->stopping = true;
        break;
    case WATCH_READER:
        take_answers(server);
        break;
    case WATCH_BUS:
        break; /* heard in every turn */
    default:
        client_ready(server, event->data.u64, event->events);
    }
}

/* Flushing may free the client, and may make others due. */
static void flush_due(struct server *server)
{
    struct client *client;

    while ((client = server->due)) {
        server->due = client->next_due;
        client->flush_due = false;
        client_flush(client);
    }
}

static void tick(struct server *server, int64_t now_us)
{
    if (server->full)
        rest_listener(server, false, NULL);
    hub_tick(server->hub, now_us);
    series_gauge(METRIC_WS_ACTIVE, (int64_t)server->client_count);
    series_gauge(METRIC_WS_CONNECTIONS, (int64_t)server->client_count);
    for (struct client *client = server->clients; client; client = client->next)
        client_tick(client, now_us);
}

static void turn(struct server *server, int64_t *tick_us, int64_t until_us)
{
    struct epoll_event events[EVENTS];
    int64_t now_us = monotonic_us();
    int64_t wait_us = server->news_left ? 0 : (until_us < *tick_us ? until_us : *tick_us) - now_us;
    int count =
        epoll_wait(server->epoll_fd, events, EVENTS, wait_us > 0 ? (int)(wait_us / 1000) + 1 : 0);

    hear_bus(server); /* first: deltas were sent before what is read of their end */
    for (int i = 0; i < count; i++)
        handle(server, &events[i]);
    now_us = monotonic_us();
    if (now_us >= *tick_us) {
        tick(server, now_us);
        *tick_us = now_us + TICK_US;
    }
    flush_due(server);
    arena_reset(server->turn);
}

static void close_listeners(struct server *server)
{
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->local_fd >= 0)
        close(server->local_fd);
    server->listen_fd = server->local_fd = -1;
}

static void stop_clients(struct server *server)
{
    close_listeners(server);
    for (struct client *client = server->clients; client; client = client->next)
        client_close(client, WS_GOING_AWAY, "Server shutting down");
    flush_due(server);
}

static void run(struct server *server)
{
    int64_t tick_us = monotonic_us() + TICK_US;

    while (!server->stopping)
        turn(server, &tick_us, INT64_MAX);
    log_event(LOG_INFO, "stopping");
    stop_clients(server);
    for (int64_t until = monotonic_us() + STOP_US; server->clients && monotonic_us() < until;)
        turn(server, &tick_us, until);
}

/* --- Start ------------------------------------------------------------------------------- */

static int listen_on(const char *host, int64_t port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_PASSIVE },
                    *found;
    char service[16];
    int yes = 1;

    snprintf(service, sizeof(service), "%lld", (long long)port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
        if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
            int reason = errno;
            close(fd);
            errno = reason;
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

static int signals_descriptor(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static enum result open_listeners(struct server *server)
{
    const struct server_config *config = server->config;

    if (config->port) {
        server->listen_fd = listen_on(config->host, config->port);
        if (server->listen_fd < 0) {
            log_event(LOG_CRITICAL, "port not bound", "host", config->host, "port",
                      log_int(config->port), "problem", strerror(errno));
            return ERR_SYSTEM;
        }
        watch(server, server->listen_fd, WATCH_LISTEN, EPOLLIN, EPOLL_CTL_ADD);
    }
    if (config->local_path.at) {
        server->local_fd = local_listener(config->local_path, BACKLOG);
        if (server->local_fd < 0) {
            log_event(LOG_CRITICAL, "socket not bound", "path", log_str(config->local_path),
                      "problem", strerror(errno));
            return ERR_SYSTEM;
        }
        watch(server, server->local_fd, WATCH_LOCAL, EPOLLIN, EPOLL_CTL_ADD);
    }
    return OK;
}

static enum result server_open(struct server *server)
{
    const struct server_config *config = server->config;

    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->signal_fd = signals_descriptor();
    if (server->epoll_fd < 0 || server->signal_fd < 0)
        return ERR_SYSTEM;
    enum result result = bus_bind(&server->bus, config->data_directory, BUS_STREAM);
    if (result == ERR_ALREADY_EXISTS)
        log_event(LOG_CRITICAL, "another aragora-streamd runs here", "directory",
                  config->data_directory);
    TRY(result);
    TRY(reader_start(&server->reader, &config->database));
    TRY(open_listeners(server));
    watch(server, server->signal_fd, WATCH_SIGNAL, EPOLLIN, EPOLL_CTL_ADD);
    watch(server, reader_descriptor(server->reader), WATCH_READER, EPOLLIN, EPOLL_CTL_ADD);
    watch(server, bus_descriptor(server->bus), WATCH_BUS, EPOLLIN, EPOLL_CTL_ADD);
    return OK;
}

static void server_close(struct server *server)
{
    while (server->clients)
        server_remove(server, server->clients);
    reader_stop(server->reader);
    hub_free(server->hub);
    bus_close(server->bus);
    counts_free(&server->addresses);
    counts_free(&server->tenants);
    free(server->by_slot);
    close_listeners(server);
    if (server->signal_fd >= 0)
        close(server->signal_fd);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    arena_free(server->turn);
}

enum result server_run(const struct server_config *config)
{
    struct server server = { .config = config,
                             .turn = arena_new(),
                             .epoll_fd = -1,
                             .listen_fd = -1,
                             .local_fd = -1,
                             .signal_fd = -1 };

    server.hub = hub_new(&server);
    enum result result = server_open(&server);
    if (result == OK) {
        log_event(LOG_INFO, "ready", "port", log_int(config->port));
        run(&server);
    }
    server_close(&server);
    return result;
}
