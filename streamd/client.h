/* client.h - one connection: its bytes in, its queue of frames out, its end.
 *
 * Nothing here waits. What is queued goes out in one system call per turn of the loop. A client
 * that takes less than it is sent is sent away with 1013 and may come back to replay. */
#ifndef ARAGORA_STREAMD_CLIENT_H
#define ARAGORA_STREAMD_CLIENT_H

#include "common/auth/principal.h"
#include "common/trace/span.h"
#include "common/ws/frame.h"
#include "common/ws/handshake.h"
#include "streamd/frame.h"
#include "streamd/transport.h"

struct server;
struct subscription;

enum client_state {
    CLIENT_HANDSHAKE, /* reading the HTTP head */
    CLIENT_JOINING,   /* upgraded; who it is is being looked up */
    CLIENT_OPEN,
    CLIENT_CLOSING, /* a close frame is queued; what is left goes out, then the socket closes */
};

struct queue { /* ring of frames */
    struct frame **at;
    size_t head, count, room;
    size_t bytes; /* of all that is queued, the sent part of the first included */
    size_t sent;  /* of the first */
};

struct client {
    struct server *server;
    uint64_t id;
    struct transport transport;
    enum client_state state;
    struct arena *arena; /* strings of the handshake and the principal */
    struct str address;
    struct buf head; /* what was read but not understood: of the handshake, or while waiting */
    struct ws_parser parser;
    struct queue queue;

    struct principal who;
    bool authenticated;
    bool unlimited;         /* in connections and messages */
    bool waiting;           /* its token is being looked up; nothing is read meanwhile */
    struct str wanted_loop; /* of the path or query, as it came; STR_NONE: none */
    int64_t wanted_from;    /* its last_seq; -1: none */
    char public_id[16];     /* as connection_info shows it */

    struct span span; /* of its joining, and above those of its replays */
    struct subscription *subscriptions;
    size_t subscription_count;

    int64_t opened_us, heartbeat_us, ping_us, pong_due_us, progress_us, close_due_us;
    int64_t bucket_us; /* when the messages' bucket is full again */
    int bad_messages;  /* in a row */
    int refused;       /* messages, since refused_us */
    int64_t refused_us;
    bool flush_due, want_write, gone;
    struct client *next_due; /* of those to flush */
    struct client *prev, *next;
};

/* Takes the connected socket. tls: NULL for none. */
struct client *client_new(struct server *server, int fd, SSL_CTX *tls, struct str address);
void client_free(struct client *client);

void client_send(struct client *client, struct frame *frame); /* shares the frame */
void client_send_text(struct client *client, struct str json);
/* Queues a close frame; what is queued before it still goes out, for up to 5 s. */
void client_close(struct client *client, int64_t code, const char *reason);
/* As client_close(), but what is queued is thrown away. */
void client_drop(struct client *client, int64_t code, const char *reason);

void client_readable(struct client *client);
/* Until its token was looked up, nothing more that it sends is read. */
void client_wait(struct client *client);
void client_go_on(struct client *client);
/* At the end of the turn. */
void client_flush_later(struct client *client);
void client_leave(struct client *client); /* the peer has gone */
/* May free the client. */
void client_flush(struct client *client);
/* It closes, or has gone: what is sent to it is thrown away. */
bool client_is_ending(const struct client *client);
/* Once a second: pings, heartbeats, limits of time. */
void client_tick(struct client *client, int64_t now_us);
/* Its queue is so long that replayed events must wait. */
bool client_is_full(const struct client *client);

#endif
