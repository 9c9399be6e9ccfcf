/* join.h - who comes in: path, limits, origin, token (streaming.md 2), and what is said first (5).
 *
 * What is refused after a valid upgrade is refused by a close code, since a browser's page sees
 * those but no HTTP status. */
#ifndef ARAGORA_STREAMD_JOIN_H
#define ARAGORA_STREAMD_JOIN_H

#include "streamd/client.h"
#include "streamd/reader.h"

/* Is a stream served here? A slash at the end is tolerated. */
bool join_path_known(struct str path);
/* After the 101. The request is borrowed for the call. */
void join_start(struct client *client, const struct ws_request *request);
/* Another token, in an open connection. */
void join_again(struct client *client, struct str token);
/* Asks for the loops that the client may see. */
void join_loops(struct client *client);
/* The answer to any of these. */
void join_answered(struct client *client, const struct query *query);

#endif
