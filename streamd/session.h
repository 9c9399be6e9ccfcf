/* session.h - what the messages of the main stream mean (streaming.md 2, 5, 6). */
#ifndef ARAGORA_STREAMD_SESSION_H
#define ARAGORA_STREAMD_SESSION_H

#include "streamd/client.h"
#include "streamd/reader.h"

/* Is a stream served here? A slash at the end is tolerated. */
bool session_path_known(struct str path);

/* After the 101: limits, origin, token. The 101 goes first, since a browser's page sees close
 * codes but no HTTP status. */
void session_join(struct client *client, const struct ws_request *request);
void session_joined(struct client *client, const struct query *query);
/* One message of the client. */
void session_message(struct client *client, struct str text);
void session_binary(struct client *client);
void session_heartbeat(struct client *client);

/* Answers to subscribe. whole: what the client has, continues here. */
void session_sync(struct client *client, const struct query *query, struct str running,
                  bool recovered);
void session_waiting(struct client *client, struct str loop_id);
void session_replay_start(struct client *client, const struct query *query, int64_t count,
                          bool gap);
void session_replay_end(struct client *client, struct str loop_id, int64_t count, int64_t last);
/* One item of sync.data.streams. */
void session_running_text(struct buf *out, struct str agent, struct str task_id, struct str text,
                          int64_t agent_seq);

void session_health(struct server *server, struct buf *out);

#endif
