/* session.h - what the messages of the main stream mean (streaming.md 6, 8). */
#ifndef ARAGORA_STREAMD_SESSION_H
#define ARAGORA_STREAMD_SESSION_H

#include "streamd/client.h"
#include "streamd/reader.h"

/* One message of the client. */
void session_message(struct client *client, struct str text);
void session_binary(struct client *client);
/* from: as of hub_subscribe(). */
void session_subscribe(struct client *client, struct str id, int64_t from);
void session_heartbeat(struct client *client);

/* Answers to subscribe. running: a list of session_running_text(). recovered: what the client has
 * continues here. gap: it does not, and a sync went before. */
void session_sync(struct client *client, const struct query *query, struct str running,
                  bool recovered);
void session_waiting(struct client *client, struct str loop_id);
void session_replay_start(struct client *client, const struct query *query, struct str running,
                          bool gap);
void session_replay_end(struct client *client, struct str loop_id, int64_t count, int64_t last);
/* One item of sync.data.streams. */
void session_running_text(struct buf *out, const struct running_text *text);

void session_health(struct server *server, struct buf *out);

#endif
