/* hub.h - who listens to which loop, and how far each has got.
 *
 * Each subscription knows the last seq that its client was sent. An event that follows it is
 * sent; an older one is not; a later one shows a gap, and the missing rows are read from the
 * table. A replay is nothing but a subscription that starts further back, so live events,
 * replays and repairs can neither lose nor double an event, nor change the order.
 *
 * Loops are found by organisation and id together: an event of one organisation cannot reach a
 * client of another. */
#ifndef ARAGORA_STREAMD_HUB_H
#define ARAGORA_STREAMD_HUB_H

#include "common/store/announce.h"
#include "streamd/client.h"
#include "streamd/reader.h"

#define SUBSCRIPTIONS_MAX 50

struct hub;

struct hub *hub_new(struct server *server); /* the caller's */
void hub_free(struct hub *hub);

/* Asks for the loop's state; the answer goes to the client. from: the last seq that it has, -1:
 * it has nothing. Replaces an earlier one of the same loop. false: it has SUBSCRIPTIONS_MAX
 * already. */
bool hub_subscribe(struct client *client, struct str loop_id, int64_t from);
bool hub_unsubscribe(struct client *client, struct str loop_id); /* false: it had none */
void hub_leave(struct client *client);                           /* all of its */
void hub_reopen(struct client *client); /* all again: it is somebody else now */
void hub_resume(struct client *client); /* its queue has room again */

/* From the bus: a committed event, or a delta (announced->seq 0). */
void hub_event(struct hub *hub, const struct announced *announced, struct str json);
void hub_snapshot(struct client *client, const struct query *query);
void hub_events(struct hub *hub, const struct query *query);
void hub_swept(struct hub *hub, const struct query *query);
void hub_tick(struct hub *hub, int64_t now_us); /* once a second */
size_t hub_loops(const struct hub *hub);
/* The highest seq known of the client's last subscription; false: it has none. */
bool hub_progress(const struct client *client, int64_t *last_seq);

#endif
