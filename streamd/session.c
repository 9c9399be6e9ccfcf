#include "streamd/session.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/metrics/series.h"
#include "streamd/hub.h"
#include "streamd/join.h"
#include "streamd/notice.h"
#include "streamd/server.h"

#define DEPTH_MAX        20
#define BAD_MESSAGES_MAX 5
#define REFUSED_MAX      50 /* messages beyond the limit, in REFUSED_US */
#define REFUSED_US       (60 * US_PER_S)

/* --- Answers to subscribe ---------------------------------------------------------------- */

void session_running_text(struct buf *out, const struct running_text *text)
{
    buf_json_comma(out);
    buf_str(out, STR("{\"agent\":"));
    buf_json_str(out, text->agent);
    notice_str(out, "task_id", text->task_id);
    notice_int(out, "attempt", text->attempt);
    notice_int(out, "agent_seq", text->text_seq);
    notice_str(out, "text", text->text);
    buf_char(out, '}');
}

void session_sync(struct client *client, const struct query *query, struct str running,
                  bool recovered)
{
    CLEANUP(buf_free) struct buf out = { 0 }, late = { 0 };

    notice_begin(&out, "sync");
    buf_str(&out, query->sync);
    notice_cursor(&out, client, query->state.last_seq);
    notice_bool(&out, "recovered", recovered);
    buf_json_key(&out, STR("streams"));
    buf_str(&out, running);
    notice_send(client, &out, query->loop_id);
    if (!query->start.at)
        return;
    /* Who waits for debate_start leaves its waiting state; no seq, since it is no event. */
    buf_str(&late, STR("{\"type\":\"debate_start\",\"data\":"));
    buf_str(&late, query->start);
    buf_str(&late, STR(",\"timestamp\":"));
    buf_json_epoch(&late, utc_now());
    notice_str(&late, "loop_id", query->loop_id);
    notice_str(&late, "debate_id", query->loop_id);
    buf_char(&late, '}');
    client_send_text(client, buf_view(&late));
}

void session_waiting(struct client *client, struct str loop_id)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    notice_begin(&out, "sync");
    notice_str(&out, "debate_id", loop_id);
    notice_str(&out, "status", STR("waiting"));
    notice_send(client, &out, loop_id);
}

void session_replay_start(struct client *client, const struct query *query, struct str running,
                          bool gap)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    int64_t from = gap ? query->state.last_seq : query->from;

    notice_begin(&out, "replay_start");
    notice_str(&out, "debate_id", query->loop_id);
    notice_int(&out, "from_seq", from);
    notice_int(&out, "event_count", query->state.last_seq - from);
    notice_int(&out, "buffer_oldest_seq", query->state.last_seq ? 1 : 0);
    notice_int(&out, "buffer_latest_seq", query->state.last_seq);
    notice_bool(&out, "gap", gap);
    notice_bool(&out, "recovered", !gap);
    notice_cursor(&out, client, query->state.last_seq);
    buf_json_key(&out, STR("streams"));
    buf_str(&out, running);
    notice_send(client, &out, query->loop_id);
}

void session_replay_end(struct client *client, struct str loop_id, int64_t count, int64_t last)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    notice_begin(&out, "replay_end");
    notice_str(&out, "debate_id", loop_id);
    notice_int(&out, "replayed_count", count);
    notice_int(&out, "latest_seq", last);
    notice_send(client, &out, loop_id);
}

/* --- Messages ---------------------------------------------------------------------------- */

static struct str message_loop(struct json_object *message)
{
    struct str id = STR_NONE;

    if (!json_get_str(&id, message, "debate_id"))
        (void)json_get_str(&id, message, "loop_id");
    return id;
}

/* "epoch:seq", or a bare number from clients that know no epoch; *from -1: neither. A number of
 * another epoch is beyond any of this one. */
static bool message_from(int64_t *from, const struct client *client, struct json_object *message)
{
    struct json_object *value;
    struct str cursor, epoch;

    *from = -1;
    if (json_get_str(&cursor, message, "cursor") && str_split(&epoch, &cursor, ':')) {
        if (str_eq(epoch, client->server->config->epoch))
            return str_int(from, cursor, 0, INT64_MAX);
        *from = INT64_MAX;
        return true;
    }
    if (!json_get(&value, message, "replay_from_seq"))
        return true;
    *from = json_object_get_int64(value);
    return json_object_is_type(value, json_type_int) && *from >= 0;
}

void session_subscribe(struct client *client, struct str id, int64_t from)
{
    if (!id.len)
        notice_problem(client, &(struct problem){ .message = "subscribe requires debate_id" });
    else if (!field_matches(PATTERN_SLUG, id))
        notice_problem(client, &(struct problem){ .message = "debate_id has invalid format",
                                                  .type = "invalid_id" });
    else if (client->authenticated && !principal_may(&client->who, STR("debates.read")))
        notice_problem(client,
                       &(struct problem){ .message = "Permission denied: debates:read required",
                                          .code = 403 });
    else if (!hub_subscribe(client, id, from))
        notice_problem(client,
                       &(struct problem){ .message = "Too many subscriptions", .code = 429 });
}

static void on_subscribe(struct client *client, struct json_object *message)
{
    int64_t from;

    if (message_from(&from, client, message))
        session_subscribe(client, message_loop(message), from);
    else
        notice_problem(client, &(struct problem){ .message = "replay_from_seq must be an integer",
                                                  .type = "invalid_seq" });
}

static void on_unsubscribe(struct client *client, struct json_object *message)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct str id = message_loop(message);

    if (!id.len || !field_matches(PATTERN_SLUG, id)) {
        notice_problem(client, &(struct problem){ .message = "unsubscribe requires debate_id" });
        return;
    }
    (void)hub_unsubscribe(client, id);
    notice_begin(&out, "unsubscribed");
    notice_str(&out, "debate_id", id);
    notice_send(client, &out, id);
}

static void on_ping(struct client *client, struct json_object *message)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct json_object *ts;

    notice_begin(&out, "pong");
    if (json_get(&ts, message, "ts") && json_object_is_type(ts, json_type_int))
        notice_int(&out, "client_ts", json_object_get_int64(ts));
    notice_int(&out, "server_ts", utc_now().us / US_PER_MS);
    notice_send(client, &out, STR_NONE);
}

static void on_auth(struct client *client, struct json_object *message)
{
    struct str token = STR_NONE;

    if (!json_get_str(&token, message, "token") || !token.len)
        notice_problem(client, &(struct problem){ .message = "auth requires token", .code = 401 });
    else
        join_again(client, token);
}

static void on_get_loops(struct client *client, struct json_object *message)
{
    (void)message;
    join_loops(client);
}

static const struct {
    const char *type;
    void (*handle)(struct client *client, struct json_object *message);
} handlers[] = {
    { "subscribe", on_subscribe }, { "unsubscribe", on_unsubscribe }, { "ping", on_ping },
    { "auth", on_auth },           { "get_loops", on_get_loops },
};

/* A bucket of messages_burst that fills at messages_per_second (as metrics/rate.h). */
static bool message_allowed(struct client *client)
{
    const struct server_config *config = client->server->config;
    int64_t now_us = monotonic_us(), token_us = US_PER_S / config->messages_per_second;
    int64_t next = (client->bucket_us > now_us ? client->bucket_us : now_us) + token_us;

    if (client->unlimited)
        return true;
    if (next - now_us > token_us * config->messages_burst)
        return false;
    client->bucket_us = next;
    return true;
}

/* Who does not slow down is sent away. */
static void refuse_message(struct client *client)
{
    int64_t now_us = monotonic_us();

    notice_problem(client,
                   &(struct problem){ .message = "Message rate limit exceeded. Please slow down.",
                                      .code = 429 });
    if (!client->refused || now_us - client->refused_us > REFUSED_US) {
        client->refused = 0;
        client->refused_us = now_us;
    }
    if (++client->refused >= REFUSED_MAX)
        client_close(client, WS_POLICY, "Message rate limit exceeded");
}

static void bad_message(struct client *client, const struct problem *problem)
{
    notice_problem(client, problem);
    if (++client->bad_messages >= BAD_MESSAGES_MAX)
        client_close(client, WS_UNSUPPORTED, "Unsupported data");
}

void session_binary(struct client *client)
{
    bad_message(client, &(struct problem){ .message = "Binary messages not supported",
                                           .text_code = "BINARY_NOT_SUPPORTED" });
}

void session_message(struct client *client, struct str text)
{
    static const struct json_limits limits = { DEPTH_MAX, 10000, 1000 };
    struct arena *arena = client->server->turn;
    struct json_object *message;
    struct str type = STR_NONE;

    if (!message_allowed(client)) {
        refuse_message(client);
        return;
    }
    if (json_parse(&message, arena, text, &limits, NULL) != OK ||
        !json_object_is_type(message, json_type_object)) {
        bad_message(client,
                    &(struct problem){ .message = "Invalid JSON format", .type = "invalid_json" });
        return;
    }
    client->bad_messages = 0;
    (void)json_get_str(&type, message, "type");
    for (size_t i = 0; i < COUNT(handlers); i++) {
        if (!str_is(type, handlers[i].type))
            continue;
        series_add(METRIC_WS_MESSAGES, LABELS(STR("received"), type), 1);
        handlers[i].handle(client, message);
        return;
    }
    series_add(METRIC_WS_MESSAGES, LABELS(STR("received"), STR("other")), 1);
}

/* --- Time -------------------------------------------------------------------------------- */

void session_heartbeat(struct client *client)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct tenant_counts counts = server_tenant(client->server, client->who.org_id, 0);
    int64_t last_seq;

    notice_begin(&out, "heartbeat");
    notice_now(&out, "server_time");
    notice_int(&out, "active_debates", counts.active);
    notice_int(&out, "connected_clients", counts.clients);
    if (hub_progress(client, &last_seq)) {
        notice_int(&out, "last_seq", last_seq);
        notice_int(&out, "buffer_size", last_seq);
        notice_int(&out, "oldest_seq", last_seq ? 1 : 0);
    }
    notice_send(client, &out, STR_NONE);
}

void session_health(struct server *server, struct buf *out)
{
    buf_printf(out, "{\"status\":\"healthy\",\"connections\":%zu,\"loops\":%zu,\"version\":",
               server->client_count, hub_loops(server->hub));
    buf_json_str(out, server->config->program_version);
    buf_char(out, '}');
}
