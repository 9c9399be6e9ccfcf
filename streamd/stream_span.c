#include "streamd/stream_span.h"

#include "common/base/error.h"
#include "common/trace/trace.h"

static struct str header_of(const struct ws_request *request, const char *name)
{
    const struct ws_header *headers = request->headers.at;

    for (size_t i = 0; i < request->headers.count; i++)
        if (str_eq_nocase(headers[i].name, str_from(name)))
            return headers[i].value;
    return STR_NONE;
}

void join_span_begin(struct client *client, const struct ws_request *request)
{
    struct trace_context remote;

    if (!trace_on)
        return;
    bool sent = trace_is_told() && traceparent_read(&remote, header_of(request, "traceparent"));
    span_begin_remote(&client->span, SPAN_SERVER, sent ? &remote : NULL);
    span_name(&client->span, "stream", STR("join"));
    span_str(&client->span, "service", STR("aragora-stream"));
    span_str(&client->span, "http.path", request->path); /* the query may hold a token */
    span_str(&client->span, "net.peer.ip", client->address);
}

void join_span_end(struct client *client, enum result result)
{
    if (result != OK)
        span_fail(&client->span, str_from(error_row(result)->name));
    span_end(&client->span);
}

void replay_span_begin(struct span *span, const struct client *client, struct str loop_id,
                       int64_t from)
{
    span_end(span); /* of an earlier wish for the same loop */
    span_begin(span, SPAN_INTERNAL, &client->span.context, "stream",
               from >= 0 ? STR("replay") : STR("subscribe"));
    span_str(span, "debate.id", loop_id);
    if (from >= 0)
        span_int(span, "aragora.replay.from", from);
}

void replay_span_end(struct span *span, int64_t events)
{
    span_int(span, "aragora.replay.events", events);
    span_end(span);
}
