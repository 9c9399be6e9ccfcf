/* server.h - the daemon: one event loop that never waits, and one thread that reads the
 * database for it (reader.h). */
#ifndef ARAGORA_STREAMD_SERVER_H
#define ARAGORA_STREAMD_SERVER_H

#include "common/base/segment.h"
#include "common/db/db.h"
#include "streamd/client.h"
#include "streamd/table.h"

struct bus;
struct hub;
struct reader;

struct server_config {
    const char *host, *data_directory;
    int64_t port;          /* 0: none */
    SSL_CTX *tls;          /* of the port; NULL: in the clear */
    struct str local_path; /* of a socket in the clear, for the web server; STR_NONE: none */
    struct db_config database;
    struct segment *segment;
    struct str epoch; /* of the database */
    struct str program_version;

    size_t message_max, queue_max; /* bytes */
    int64_t ping_us, connections_per_minute, connections_per_address;
    int64_t messages_per_second, messages_burst;
    bool limits_off;
};

struct server {
    const struct server_config *config;
    struct arena *turn; /* of one turn of the loop */
    struct hub *hub;
    struct reader *reader;
    struct bus *bus;
    int epoll_fd, listen_fd, local_fd, signal_fd;
    struct client *clients;  /* all */
    struct client *due;      /* those with something to send */
    struct client **by_slot; /* ids: generation in the upper half, slot in the lower */
    size_t slots, client_count;
    uint64_t generation;
    struct table addresses, tenants;
    bool stopping;
    bool news_left; /* on the bus, after a turn's share */
    bool full;      /* no descriptor was left: the listener rests until the next tick */
};

/* Until SIGTERM or SIGINT, which must be blocked in all threads. ERR_SYSTEM: the port cannot be
 * bound; said in the log. */
MUST_USE enum result server_run(const struct server_config *config);

struct client *server_client(struct server *server, uint64_t id); /* NULL: it has gone */
void server_add(struct server *server, struct client *client);    /* gives it its id */
void server_remove(struct server *server, struct client *client);
void server_watch(struct server *server, struct client *client); /* after its wishes changed */

/* How many connections an address holds, this one included. */
int64_t server_address_count(struct server *server, struct str address, int change);

struct tenant_counts {
    int64_t clients, active;
};
struct tenant_counts server_tenant(struct server *server, struct str org_id, int change);
void server_tenant_active(struct server *server, struct str org_id, int64_t active);
void server_tenants_idle(struct server *server); /* active 0 for all, before new figures */

#endif
