#include "streamd/server.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/bus/bus.h"
#include "streamd/hub.h"
#include "streamd/reader.h"
#include "streamd/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#define BACKLOG     512
#define EVENTS      256 /* of one epoll_wait() */
#define ACCEPTS     64  /* of one turn */
#define TICK_US     US_PER_S
#define STOP_US     (5 * US_PER_S)
#define NEWS_A_TURN 4096

/* What epoll says is ready, where it is no client. */
enum { WATCH_LISTEN = 1, WATCH_SIGNAL, WATCH_READER, WATCH_BUS, WATCH_CLIENTS = 16 };

/* --- Counts ------------------------------------------------------------------------------ */

struct address_count {
    UT_hash_handle hh;
    int64_t count;
    char key[];
};

struct tenant_count {
    UT_hash_handle hh;
    struct tenant_counts counts;
    char key[];
};

int64_t server_address_count(struct server *server, struct str address, int change)
{
    struct address_count *found = NULL;
    int64_t count;

    HASH_FIND(hh, server->addresses, address.at, address.len, found);
    if (!found && change <= 0)
        return 0;
    if (!found) {
        found = calloc(1, sizeof(*found) + address.len);
        if (!found)
            abort();
        memcpy(found->key, address.at, address.len);
        HASH_ADD(hh, server->addresses, key, address.len, found);
    }
    count = found->count += change;
    if (count <= 0) {
        HASH_DEL(server->addresses, found);
        free(found);
    }
    return count;
}

static struct tenant_count *tenant_get(struct server *server, struct str org_id, bool make)
{
    struct tenant_count *found = NULL;
    const char *key = org_id.at ? org_id.at : "";

    HASH_FIND(hh, server->tenants, key, org_id.len, found);
    if (found || !make)
        return found;
    found = calloc(1, sizeof(*found) + org_id.len);
    if (!found)
        abort();
    memcpy(found->key, key, org_id.len);
    HASH_ADD(hh, server->tenants, key, org_id.len, found);
    return found;
}

struct tenant_counts server_tenant(struct server *server, struct str org_id, int change)
{
    struct tenant_count *found = tenant_get(server, org_id, change > 0);

    if (!found)
        return (struct tenant_counts){ 0 };
    found->counts.clients += change;
    return found->counts;
}

void server_tenant_active(struct server *server, struct str org_id, int64_t active)
{
    struct tenant_count *found = tenant_get(server, org_id, false);

    if (found) /* nobody of it is here: nobody asks */
        found->counts.active = active;
}

void server_tenants_idle(struct server *server)
{
    struct tenant_count *tenant, *next;

    HASH_ITER(hh, server->tenants, tenant, next)
    {
        tenant->counts.active = 0;
        if (tenant->counts.clients == 0) {
            HASH_DEL(server->tenants, tenant);
            free(tenant);
        }
    }
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
    uint32_t events = client->want_write ? EPOLLOUT : 0;

    return client->state == CLIENT_JOINING ? events : events | EPOLLIN;
}

void server_watch(struct server *server, struct client *client)
{
    watch(server, client->fd, client->id, wishes(client), EPOLL_CTL_MOD);
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
    watch(server, client->fd, client->id, wishes(client), EPOLL_CTL_ADD);
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
    const void *bytes =
        peer->ss_family == AF_INET ? (const void *)&four->sin_addr : (const void *)&six->sin6_addr;

    if (!inet_ntop(peer->ss_family, bytes, out, INET6_ADDRSTRLEN))
        return STR("unknown");
    struct str text = str_from(out), mapped = STR("::ffff:");
    return str_starts(text, mapped) && memchr(text.at, '.', text.len)
               ? str_slice(text, mapped.len, text.len)
               : text;
}

static void accept_clients(struct server *server)
{
    for (int i = 0; i < ACCEPTS; i++) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof(peer);
        char text[INET6_ADDRSTRLEN];
        int fd = accept4(server->listen_fd, (struct sockaddr *)&peer, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE))
            log_event(LOG_WARNING, "connection not taken", "problem", strerror(errno));
        if (fd < 0)
            return;
        server_add(server, client_new(server, fd, address_text(text, &peer)));
    }
}

/* --- The loop ---------------------------------------------------------------------------- */

static void hear_bus(struct server *server)
{
    struct announced announced;
    struct str head, body;

    /* Bounded, so that a burst does not keep the sockets waiting; the tick looks again. */
    for (int i = 0; i < NEWS_A_TURN && bus_receive(server->bus, &head, &body); i++)
        if (announced_read(&announced, head))
            hub_event(server->hub, &announced, body);
}

static void take_answer(struct server *server, const struct query *query)
{
    struct client *client = server_client(server, query->client_id);

    switch (query->kind) {
    case QUERY_JOIN:
        if (client && client->state != CLIENT_CLOSING && !client->gone) {
            session_joined(client, query);
            client_joined(client);
        }
        break;
    case QUERY_SNAPSHOT:
        if (client && client->state == CLIENT_OPEN && !client->gone)
            hub_snapshot(server->hub, client, query);
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
    if (events & EPOLLIN)
        client_readable(client);
    if (events & EPOLLOUT)
        client_flush_later(client);
}

static void handle(struct server *server, const struct epoll_event *event)
{
    struct signalfd_siginfo info;

    switch (event->data.u64) {
    case WATCH_LISTEN:
        accept_clients(server);
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
    hub_tick(server->hub, now_us);
    for (struct client *client = server->clients; client; client = client->next)
        client_tick(client, now_us);
}

static void turn(struct server *server, int64_t *tick_us, int64_t until_us)
{
    struct epoll_event events[EVENTS];
    int64_t now_us = monotonic_us();
    int64_t wait_us = (until_us < *tick_us ? until_us : *tick_us) - now_us;
    int count =
        epoll_wait(server->epoll_fd, events, EVENTS, wait_us > 0 ? (int)(wait_us / 1000) + 1 : 0);

    for (int i = 0; i < count; i++)
        handle(server, &events[i]);
    hear_bus(server);
    now_us = monotonic_us();
    if (now_us >= *tick_us) {
        tick(server, now_us);
        *tick_us = now_us + TICK_US;
    }
    flush_due(server);
    arena_reset(server->turn);
}

static void stop_clients(struct server *server)
{
    if (server->listen_fd >= 0) {
        close(server->listen_fd);
        server->listen_fd = -1;
    }
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

static enum result server_open(struct server *server)
{
    const struct server_config *config = server->config;

    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->signal_fd = signals_descriptor();
    if (server->epoll_fd < 0 || server->signal_fd < 0)
        return ERR_SYSTEM;
    TRY(bus_bind(&server->bus, config->data_directory, BUS_STREAM));
    TRY(reader_start(&server->reader, &config->database));
    if (config->port) {
        server->listen_fd = listen_on(config->host, config->port);
        if (server->listen_fd < 0) {
            log_event(LOG_CRITICAL, "port not bound", "host", config->host, "port",
                      log_int(config->port), "problem", strerror(errno));
            return ERR_SYSTEM;
        }
        watch(server, server->listen_fd, WATCH_LISTEN, EPOLLIN, EPOLL_CTL_ADD);
    }
    watch(server, server->signal_fd, WATCH_SIGNAL, EPOLLIN, EPOLL_CTL_ADD);
    watch(server, reader_descriptor(server->reader), WATCH_READER, EPOLLIN, EPOLL_CTL_ADD);
    watch(server, bus_descriptor(server->bus), WATCH_BUS, EPOLLIN, EPOLL_CTL_ADD);
    return OK;
}

static void counts_free(struct server *server)
{
    struct address_count *address, *next_address;
    struct tenant_count *tenant, *next_tenant;

    HASH_ITER(hh, server->addresses, address, next_address)
    {
        HASH_DEL(server->addresses, address);
        free(address);
    }
    HASH_ITER(hh, server->tenants, tenant, next_tenant)
    {
        HASH_DEL(server->tenants, tenant);
        free(tenant);
    }
}

static void server_close(struct server *server)
{
    while (server->clients)
        server_remove(server, server->clients);
    reader_stop(server->reader);
    hub_free(server->hub);
    bus_close(server->bus);
    counts_free(server);
    free(server->by_slot);
    if (server->listen_fd >= 0)
        close(server->listen_fd);
    if (server->signal_fd >= 0)
        close(server->signal_fd);
    if (server->epoll_fd >= 0)
        close(server->epoll_fd);
    arena_free(server->turn);
}

enum result server_run(const struct server_config *config)
{
    struct server server = {
        .config = config, .turn = arena_new(), .epoll_fd = -1, .listen_fd = -1, .signal_fd = -1
    };

    server.hub = hub_new(&server);
    enum result result = server_open(&server);
    if (result == OK) {
        log_event(LOG_INFO, "ready", "port", log_int(config->port));
        run(&server);
    }
    server_close(&server);
    return result;
}
