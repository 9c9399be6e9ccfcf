#include "streamd/session.h"

#include "common/auth/address.h"
#include "common/auth/origin.h"
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/metrics/rate.h"
#include "streamd/hub.h"
#include "streamd/server.h"

#define DEPTH_MAX        20
#define BAD_MESSAGES_MAX 5
#define NAME_CHARACTERS  80
#define WS_ORIGIN        4003
#define WS_LIMIT         4029
#define WS_LOGIN         4401

/* --- Frames that are no events ----------------------------------------------------------- */

/* {"type":...,"data":{ is written here, the rest by the caller, and the end by finish(). */
static void begin(struct buf *out, const char *type)
{
    buf_printf(out, "{\"type\":\"%s\",\"data\":{", type);
}

static void finish(struct client *client, struct buf *out, struct str loop_id)
{
    buf_str(out, STR("},\"timestamp\":"));
    buf_json_epoch(out, utc_now());
    if (loop_id.at) {
        buf_json_key(out, STR("debate_id"));
        buf_json_str(out, loop_id);
        buf_json_key(out, STR("loop_id"));
        buf_json_str(out, loop_id);
    }
    buf_char(out, '}');
    client_send_text(client, buf_view(out));
}

static void member_str(struct buf *out, const char *key, struct str value)
{
    buf_json_key(out, str_from(key));
    buf_json_str(out, value);
}

static void member_int(struct buf *out, const char *key, int64_t value)
{
    buf_json_key(out, str_from(key));
    buf_json_int(out, value);
}

static void member_bool(struct buf *out, const char *key, bool value)
{
    buf_json_key(out, str_from(key));
    buf_str(out, value ? STR("true") : STR("false"));
}

static void member_now(struct buf *out, const char *key)
{
    buf_json_key(out, str_from(key));
    buf_json_epoch(out, utc_now());
}

struct problem {
    const char *message, *type, *text_code;
    int64_t code; /* 0: none, or text_code */
};

static void send_error(struct client *client, const struct problem *problem)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    begin(&out, "error");
    member_str(&out, "message", str_from(problem->message));
    if (problem->type) {
        member_str(&out, "error_category", STR("validation"));
        member_str(&out, "error_type", str_from(problem->type));
    }
    if (problem->code)
        member_int(&out, "code", problem->code);
    if (problem->text_code)
        member_str(&out, "code", str_from(problem->text_code));
    finish(client, &out, STR_NONE);
}

/* --- Joining ----------------------------------------------------------------------------- */

/* A path without its last slash, "/" alone excepted. */
static struct str path_of(struct str path)
{
    return path.len > 1 && path.at[path.len - 1] == '/' ? str_slice(path, 0, path.len - 1) : path;
}

static struct str path_loop(struct str path)
{
    struct str trimmed = path_of(path), prefix = STR("/ws/debate/");

    return str_starts(trimmed, prefix) ? str_slice(trimmed, prefix.len, trimmed.len) : STR_NONE;
}

bool session_path_known(struct str path)
{
    struct str trimmed = path_of(path), loop = path_loop(path);

    return str_is(trimmed, "/") || str_is(trimmed, "/ws") ||
           (loop.at && field_matches(PATTERN_SLUG, loop));
}

/* A value of the query string with its percent escapes undone; STR_NONE: not there. */
static struct str query_value(struct arena *arena, struct str query, const char *name)
{
    struct str pair, key;

    while (query.len && str_split(&pair, &query, '&')) {
        struct str value = pair;

        if (!str_split(&key, &value, '=') || !str_is(key, name) || !value.at)
            continue;
        char *out = arena_alloc(arena, value.len + 1);
        size_t len = 0;
        for (size_t i = 0; i < value.len; i++) {
            unsigned char byte;
            bool escaped =
                value.at[i] == '%' && hex_bytes(&byte, 1, str_slice(value, i + 1, i + 3));

            out[len++] = escaped ? (char)byte : value.at[i] == '+' ? ' ' : value.at[i];
            i += escaped ? 2 : 0;
        }
        return (struct str){ out, len };
    }
    return STR_NONE;
}

/* streaming.md 2.5, in its order. */
static struct str sent_token(const struct ws_request *request, struct arena *arena)
{
    const struct str *protocols = request->protocols.at;
    struct str prefix = STR("access_token.");

    if (request->authorization.len > 7 &&
        str_eq_nocase(str_slice(request->authorization, 0, 7), STR("bearer ")))
        return str_trim(str_slice(request->authorization, 7, request->authorization.len));
    for (size_t i = 0; i < request->protocols.count; i++)
        if (str_starts(protocols[i], prefix))
            return str_slice(protocols[i], prefix.len, protocols[i].len);
    struct str token = query_value(arena, request->query, "token");
    return token.len ? token : STR_NONE;
}

static bool within_limits(struct client *client)
{
    const struct server_config *config = client->server->config;
    struct rate rate = { config->connections_per_minute, config->connections_per_minute };
    char reason[80];

    if (config->limits_off)
        return true;
    if (!rate_take(config->segment, STR("stream"), client->address, rate, monotonic_us()).allowed) {
        snprintf(reason, sizeof(reason), "Connection rate limit exceeded (%lld/min)",
                 (long long)config->connections_per_minute);
        client_close(client, WS_LIMIT, reason);
        return false;
    }
    if (server_address_count(client->server, client->address, 0) >
        config->connections_per_address) {
        snprintf(reason, sizeof(reason), "Max concurrent connections exceeded (%lld)",
                 (long long)config->connections_per_address);
        client_close(client, WS_LIMIT, reason);
        return false;
    }
    return true;
}

static void ask_who(struct client *client, struct str token)
{
    struct query *query = query_new(QUERY_JOIN);

    query->client_id = client->id;
    query->token = token.at ? arena_str(query->arena, token) : STR_NONE;
    reader_ask(client->server->reader, query);
}

/* The debate that the path or the query names, and from where. */
static void read_wish(struct client *client, const struct ws_request *request)
{
    struct str loop = path_loop(request->path);
    int64_t from;

    if (!loop.at)
        loop = query_value(client->arena, request->query, "debate_id");
    if (!loop.at)
        loop = query_value(client->arena, request->query, "loop_id");
    if (loop.len && field_matches(PATTERN_SLUG, loop))
        client->wanted_loop = loop;
    if (str_int(&from, query_value(client->arena, request->query, "last_seq"), 0, INT64_MAX))
        client->wanted_from = from;
}

void session_join(struct client *client, const struct ws_request *request)
{
    struct str address = forwarded_address(client->address, request->forwarded_for);

    if (!str_eq(address, client->address)) {
        (void)server_address_count(client->server, client->address, -1);
        client->address = arena_str(client->arena, address);
        (void)server_address_count(client->server, client->address, 1);
    }
    if (!within_limits(client))
        return;
    if (request->origin.at && !origin_allowed(request->origin)) {
        client_close(client, WS_ORIGIN, "Origin not allowed");
        return;
    }
    read_wish(client, request);
    ask_who(client, sent_token(request, client->arena));
}

static void send_connection_info(struct client *client)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    begin(&out, "connection_info");
    member_bool(&out, "authenticated", client->authenticated);
    member_str(&out, "client_id", str_from(client->public_id));
    member_bool(&out, "write_access",
                client->authenticated && principal_may(&client->who, STR("debates.update")));
    member_str(&out, "epoch", client->server->config->epoch);
    finish(client, &out, STR_NONE);
}

static void send_loop_list(struct client *client, const struct query *query)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    const struct loop_live *live = query->live.at;

    begin(&out, "loop_list");
    buf_str(&out, STR("\"loops\":["));
    for (size_t i = 0; i < query->live.count; i++) {
        buf_json_comma(&out);
        buf_str(&out, STR("{\"loop_id\":"));
        buf_json_str(&out, live[i].loop_id);
        member_str(&out, "name", str_cut(live[i].name, NAME_CHARACTERS));
        buf_json_key(&out, STR("started_at"));
        buf_json_epoch(&out, live[i].started_at);
        member_int(&out, "cycle", 0);
        member_str(&out, "phase", live[i].status);
        member_str(&out, "path", STR(""));
        buf_char(&out, '}');
    }
    buf_char(&out, ']');
    member_int(&out, "count", (int64_t)query->live.count);
    finish(client, &out, STR_NONE);
}

/* The new holder's strings outlive the query. */
static void become(struct client *client, const struct principal *who)
{
    struct arena *arena = client->arena;
    struct str *scopes = arena_array(arena, who->scopes.count, sizeof(*scopes));

    if (client->authenticated)
        (void)server_tenant(client->server, client->who.org_id, -1);
    for (size_t i = 0; i < who->scopes.count; i++)
        scopes[i] = arena_str(arena, ((const struct str *)who->scopes.at)[i]);
    client->who = *who;
    client->who.user_id = arena_str(arena, who->user_id);
    client->who.org_id = arena_str(arena, who->org_id);
    client->who.scopes = (struct list){ scopes, who->scopes.count };
    client->authenticated = true;
    (void)server_tenant(client->server, client->who.org_id, 1);
}

/* "auth" in an open connection, or the answer to its first token. */
void session_joined(struct client *client, const struct query *query)
{
    bool first = client->state == CLIENT_JOINING;

    if (query->result == ERR_AUTH_INVALID) {
        client->state = CLIENT_OPEN;
        send_error(client, &(struct problem){ .message = "Invalid or expired token", .code = 401 });
        client_close(client, WS_LOGIN, "Invalid or expired token");
        return;
    }
    if (query->result != OK) {
        client->state = CLIENT_OPEN;
        client_close(client, WS_TRY_LATER, "Database unavailable");
        return;
    }
    if (query->who.org_id.at && !query->only_live)
        become(client, &query->who);
    client->state = CLIENT_OPEN;
    if (first)
        client->heartbeat_us = monotonic_us() + 15 * US_PER_S;
    if (!query->only_live)
        send_connection_info(client);
    send_loop_list(client, query);
    if (first && client->wanted_loop.at && client->state == CLIENT_OPEN)
        (void)hub_subscribe(client, client->wanted_loop, client->wanted_from);
}

/* --- Answers to subscribe ---------------------------------------------------------------- */

static void add_cursor(struct buf *out, const struct client *client, int64_t seq)
{
    buf_json_key(out, STR("cursor"));
    buf_printf(out, "\"" STR_FMT ":%lld\"", STR_ARG(client->server->config->epoch), (long long)seq);
}

void session_running_text(struct buf *out, struct str agent, struct str task_id, struct str text,
                          int64_t agent_seq)
{
    buf_json_comma(out);
    buf_str(out, STR("{\"agent\":"));
    buf_json_str(out, agent);
    member_str(out, "task_id", task_id);
    member_int(out, "agent_seq", agent_seq);
    member_str(out, "text", text);
    buf_char(out, '}');
}

void session_sync(struct client *client, const struct query *query, struct str running,
                  bool recovered)
{
    CLEANUP(buf_free) struct buf out = { 0 }, late = { 0 };

    begin(&out, "sync");
    buf_str(&out, query->sync);
    add_cursor(&out, client, query->state.last_seq);
    member_bool(&out, "recovered", recovered);
    buf_json_key(&out, STR("streams"));
    buf_str(&out, running);
    finish(client, &out, query->loop_id);
    if (!query->start.at)
        return;
    /* Who waits for debate_start leaves its waiting state; no seq, since it is no event. */
    buf_str(&late, STR("{\"type\":\"debate_start\",\"data\":"));
    buf_str(&late, query->start);
    buf_str(&late, STR(",\"timestamp\":"));
    buf_json_epoch(&late, utc_now());
    member_str(&late, "loop_id", query->loop_id);
    member_str(&late, "debate_id", query->loop_id);
    buf_char(&late, '}');
    client_send_text(client, buf_view(&late));
}

void session_waiting(struct client *client, struct str loop_id)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    begin(&out, "sync");
    member_str(&out, "debate_id", loop_id);
    member_str(&out, "status", STR("waiting"));
    finish(client, &out, loop_id);
}

void session_replay_start(struct client *client, const struct query *query, int64_t count, bool gap)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    begin(&out, "replay_start");
    member_str(&out, "debate_id", query->loop_id);
    member_int(&out, "from_seq", gap ? query->state.last_seq : query->from);
    member_int(&out, "event_count", count);
    member_int(&out, "buffer_oldest_seq", query->state.last_seq ? 1 : 0);
    member_int(&out, "buffer_latest_seq", query->state.last_seq);
    member_bool(&out, "gap", gap);
    member_bool(&out, "recovered", !gap);
    add_cursor(&out, client, query->state.last_seq);
    finish(client, &out, query->loop_id);
}

void session_replay_end(struct client *client, struct str loop_id, int64_t count, int64_t last)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    begin(&out, "replay_end");
    member_str(&out, "debate_id", loop_id);
    member_int(&out, "replayed_count", count);
    member_int(&out, "latest_seq", last);
    finish(client, &out, loop_id);
}

/* --- Messages ---------------------------------------------------------------------------- */

static struct str message_loop(struct json_object *message)
{
    struct str id = STR_NONE;

    if (!json_get_str(&id, message, "debate_id"))
        (void)json_get_str(&id, message, "loop_id");
    return id;
}

/* "epoch:seq", or a bare number from clients that know no epoch; *from -1: neither, or of
 * another epoch, which is answered with a snapshot. */
static bool message_from(int64_t *from, const struct client *client, struct json_object *message)
{
    struct json_object *value;
    struct str cursor, epoch;

    *from = -1;
    if (json_get_str(&cursor, message, "cursor") && str_split(&epoch, &cursor, ':')) {
        if (str_eq(epoch, client->server->config->epoch))
            return str_int(from, cursor, 0, INT64_MAX);
        return true;
    }
    if (!json_get(&value, message, "replay_from_seq"))
        return true;
    *from = json_object_get_int64(value);
    return json_object_is_type(value, json_type_int) && *from >= 0;
}

static void on_subscribe(struct client *client, struct json_object *message)
{
    struct str id = message_loop(message);
    int64_t from;

    if (!id.len)
        send_error(client, &(struct problem){ .message = "subscribe requires debate_id" });
    else if (!field_matches(PATTERN_SLUG, id))
        send_error(client, &(struct problem){ .message = "debate_id has invalid format",
                                              .type = "invalid_id" });
    else if (!message_from(&from, client, message))
        send_error(client, &(struct problem){ .message = "replay_from_seq must be an integer",
                                              .type = "invalid_seq" });
    else if (client->authenticated && !principal_may(&client->who, STR("debates.read")))
        send_error(client, &(struct problem){ .message = "Permission denied: debates:read required",
                                              .code = 403 });
    else if (!hub_subscribe(client, id, from))
        send_error(client, &(struct problem){ .message = "Too many subscriptions", .code = 429 });
}

static void on_unsubscribe(struct client *client, struct json_object *message)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct str id = message_loop(message);

    if (!id.len || !field_matches(PATTERN_SLUG, id)) {
        send_error(client, &(struct problem){ .message = "unsubscribe requires debate_id" });
        return;
    }
    (void)hub_unsubscribe(client, id);
    begin(&out, "unsubscribed");
    member_str(&out, "debate_id", id);
    finish(client, &out, id);
}

static void on_ping(struct client *client, struct json_object *message)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct json_object *ts;

    begin(&out, "pong");
    if (json_get(&ts, message, "ts") && json_object_is_type(ts, json_type_int))
        member_int(&out, "client_ts", json_object_get_int64(ts));
    member_int(&out, "server_ts", utc_now().us / US_PER_MS);
    finish(client, &out, STR_NONE);
}

static void on_auth(struct client *client, struct json_object *message)
{
    struct str token = STR_NONE;

    if (!json_get_str(&token, message, "token") || !token.len)
        send_error(client, &(struct problem){ .message = "auth requires token", .code = 401 });
    else
        ask_who(client, token);
}

static void on_get_loops(struct client *client, struct json_object *message)
{
    struct query *query = query_new(QUERY_JOIN);

    (void)message;
    query->client_id = client->id;
    query->who.org_id =
        client->who.org_id.at ? arena_str(query->arena, client->who.org_id) : STR_NONE;
    query->only_live = true;
    reader_ask(client->server->reader, query);
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

    if (config->limits_off)
        return true;
    if (next - now_us > token_us * config->messages_burst)
        return false;
    client->bucket_us = next;
    return true;
}

static void bad_message(struct client *client, const struct problem *problem)
{
    send_error(client, problem);
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
        send_error(client, &(struct problem){ .message = "Too many messages", .code = 429 });
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
    for (size_t i = 0; i < COUNT(handlers); i++)
        if (str_is(type, handlers[i].type))
            handlers[i].handle(client, message);
}

/* --- Time -------------------------------------------------------------------------------- */

void session_heartbeat(struct client *client)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct tenant_counts counts = server_tenant(client->server, client->who.org_id, 0);
    int64_t last_seq;

    begin(&out, "heartbeat");
    member_now(&out, "server_time");
    member_int(&out, "active_debates", counts.active);
    member_int(&out, "connected_clients", counts.clients);
    if (hub_progress(client, &last_seq)) {
        member_int(&out, "last_seq", last_seq);
        member_int(&out, "buffer_size", last_seq);
        member_int(&out, "oldest_seq", last_seq ? 1 : 0);
    }
    finish(client, &out, STR_NONE);
}

void session_health(struct server *server, struct buf *out)
{
    buf_printf(out, "{\"status\":\"healthy\",\"connections\":%zu,\"loops\":%zu,\"version\":",
               server->client_count, hub_loops(server->hub));
    buf_json_str(out, server->config->program_version);
    buf_char(out, '}');
}
