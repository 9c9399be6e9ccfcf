/* stream_span.h - connections and replays in their traces: each connection's joining is a span,
 * part of the trace that it brought or of a new one, and its replays are spans below it. */
#ifndef ARAGORA_STREAMD_STREAM_SPAN_H
#define ARAGORA_STREAMD_STREAM_SPAN_H

#include "streamd/client.h"
#include "streamd/reader.h"

void join_span_begin(struct client *client, const struct ws_request *request);
void join_span_end(struct client *client, enum result result);

/* from: as of hub_subscribe(). */
void replay_span_begin(struct span *span, const struct client *client, struct str loop_id,
                       int64_t from);
void replay_span_end(struct span *span, int64_t events);

#endif
