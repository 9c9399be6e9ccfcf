#include "streamd/join.h"

#include "common/auth/address.h"
#include "common/auth/open_mode.h"
#include "common/auth/origin.h"
#include "common/auth/peer.h"
#include "common/auth/server_token.h"
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/metrics/rate.h"
#include "streamd/hub.h"
#include "streamd/notice.h"
#include "streamd/server.h"
#include "streamd/session.h"
#include "streamd/stream_span.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define NAME_CHARACTERS 80
#define HEARTBEAT_US    (15 * US_PER_S)
#define WS_ORIGIN       4003
#define WS_LIMIT        4029
#define WS_LOGIN        4401

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

bool join_path_known(struct str path)
{
    struct str trimmed = path_of(path), loop = path_loop(path);

    return str_is(trimmed, "/") || str_is(trimmed, "/ws") ||
           (loop.at && field_matches(PATTERN_SLUG, loop));
}

static struct str unescape(struct arena *arena, struct str text)
{
    unsigned char *out = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++, len++) {
        if (text.at[i] == '%' && hex_bytes(&out[len], 1, str_slice(text, i + 1, i + 3)))
            i += 2;
        else
            out[len] = text.at[i] == '+' ? ' ' : (unsigned char)text.at[i];
    }
    return (struct str){ (char *)out, len };
}

/* A value of the query string; STR_NONE: not there. */
static struct str query_value(struct arena *arena, struct str query, const char *name)
{
    struct str value, key;

    while (query.len && str_split(&value, &query, '&'))
        if (str_split(&key, &value, '=') && str_is(key, name) && value.at)
            return unescape(arena, value);
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

/* What is refused here does not count as a connection of the minute. */
static bool within_limits(struct client *client)
{
    const struct server_config *config = client->server->config;
    struct rate rate = { config->connections_per_minute, config->connections_per_minute };
    char reason[80];

    if (client->unlimited)
        return true;
    if (server_address_count(client->server, client->address, 0) >
        config->connections_per_address) {
        snprintf(reason, sizeof(reason), "Max concurrent connections exceeded (%lld)",
                 (long long)config->connections_per_address);
        client_close(client, WS_LIMIT, reason);
        return false;
    }
    if (!rate_take(config->segment, STR("stream"), client->address, rate, monotonic_us()).allowed) {
        snprintf(reason, sizeof(reason), "Connection rate limit exceeded (%lld/min)",
                 (long long)config->connections_per_minute);
        client_close(client, WS_LIMIT, reason);
        return false;
    }
    return true;
}

/* --- Open mode (decision 1) -------------------------------------------------------------- */

struct end {
    char address[INET6_ADDRSTRLEN];
    int64_t port;
};

static bool end_read(struct end *out, int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&at;
    const struct sockaddr_in *four = (const struct sockaddr_in *)&at;

    if (name(fd, (struct sockaddr *)&at, &len) != 0)
        return false;
    bool is_four = at.ss_family == AF_INET;
    out->port = ntohs(is_four ? four->sin_port : six->sin6_port);
    return inet_ntop(at.ss_family, is_four ? (const void *)&four->sin_addr : &six->sin6_addr,
                     out->address, sizeof(out->address)) != NULL;
}

static bool peer_known(uid_t *out, const struct client *client)
{
    struct end peer, server;

    if (!end_read(&peer, client->transport.fd, getpeername) ||
        !end_read(&server, client->transport.fd, getsockname))
        return false;
    return peer_uid(out, &(struct peer){ .address = str_from(peer.address),
                                         .server_address = str_from(server.address),
                                         .port = peer.port,
                                         .server_port = server.port }) == OK;
}

static bool is_forwarded(const struct ws_request *request)
{
    for (const char *const *name = open_mode_forwarding; *name; name++)
        if (ws_request_has(request, str_from(*name)))
            return true;
    return false;
}

static bool is_local_owner(const struct client *client, const struct ws_request *request)
{
    struct open_caller caller = {
        .host = request->host,
        .origin = request->origin,
        .origin_named = origin_named(request->origin),
        .forwarded = is_forwarded(request),
    };
    uid_t starter;

    if (!open_mode_granted(&starter))
        return false;
    caller.peer_known = peer_known(&caller.peer, client);
    return open_mode_admits(&caller, starter);
}

/* --- Asking ------------------------------------------------------------------------------ */

/* token STR_NONE: it is who, who may be nobody. */
static void ask_who(struct client *client, struct str token, const struct principal *who)
{
    struct query *query = query_new(QUERY_JOIN);

    query->client_id = client->id;
    query->trace = client->span.context;
    query->token = token.at ? arena_str(query->arena, token) : STR_NONE;
    query->who = *who;
    reader_ask(client->server->reader, query);
    client_wait(client);
}

void join_again(struct client *client, struct str token)
{
    ask_who(client, token, &(struct principal){ 0 });
}

void join_loops(struct client *client)
{
    struct query *query = query_new(QUERY_JOIN);

    query->client_id = client->id;
    query->only_live = true;
    if (client->authenticated && principal_may(&client->who, STR("debates.read")))
        query->visible_org = arena_str(query->arena, client->who.org_id);
    reader_ask(client->server->reader, query);
}

/* The debate that the path or the query names, and from where. */
static void read_wish(struct client *client, const struct ws_request *request)
{
    struct arena *turn = client->server->turn;
    struct str loop = path_loop(request->path);
    int64_t from;

    if (!loop.at)
        loop = query_value(turn, request->query, "debate_id");
    if (!loop.at)
        loop = query_value(turn, request->query, "loop_id");
    if (loop.len)
        client->wanted_loop = arena_str(client->arena, loop);
    if (str_int(&from, query_value(turn, request->query, "last_seq"), 0, INT64_MAX))
        client->wanted_from = from;
}

static void set_address(struct client *client, struct str address)
{
    if (str_eq(address, client->address))
        return;
    (void)server_address_count(client->server, client->address, -1);
    client->address = arena_str(client->arena, address);
    (void)server_address_count(client->server, client->address, 1);
}

void join_start(struct client *client, const struct ws_request *request)
{
    struct str token = sent_token(request, client->server->turn);
    struct principal who = { 0 };

    if (!token.at && is_local_owner(client, request))
        who = local_owner(CREDENTIAL_OPEN);
    client->unlimited = client->server->config->limits_off || who.credential == CREDENTIAL_OPEN;
    set_address(client, forwarded_address(client->address, request->forwarded_for));
    join_span_begin(client, request);
    if (!within_limits(client))
        return;
    if (request->origin.at && !origin_allowed(request->origin) &&
        who.credential != CREDENTIAL_OPEN) {
        client_close(client, WS_ORIGIN, "Origin not allowed");
        return;
    }
    read_wish(client, request);
    ask_who(client, token, &who);
}

/* --- Answering --------------------------------------------------------------------------- */

static void send_connection_info(struct client *client)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    notice_begin(&out, "connection_info");
    notice_bool(&out, "authenticated", client->authenticated);
    notice_str(&out, "client_id", str_from(client->public_id));
    notice_bool(&out, "write_access",
                client->authenticated && principal_may(&client->who, STR("debates.update")));
    notice_str(&out, "epoch", client->server->config->epoch);
    notice_send(client, &out, STR_NONE);
}

static void send_loop_list(struct client *client, const struct query *query)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    const struct loop_live *live = query->live.at;

    notice_begin(&out, "loop_list");
    buf_str(&out, STR("\"loops\":["));
    for (size_t i = 0; i < query->live.count; i++) {
        buf_json_comma(&out);
        buf_str(&out, STR("{\"loop_id\":"));
        buf_json_str(&out, live[i].loop_id);
        notice_str(&out, "name", str_cut(live[i].name, NAME_CHARACTERS));
        buf_json_key(&out, STR("started_at"));
        buf_json_epoch(&out, live[i].started_at);
        notice_int(&out, "cycle", 0);
        notice_str(&out, "phase", live[i].status);
        notice_str(&out, "path", STR(""));
        buf_char(&out, '}');
    }
    buf_char(&out, ']');
    notice_int(&out, "count", (int64_t)query->live.count);
    notice_send(client, &out, STR_NONE);
}

/* The strings of the holder before go. */
static void become(struct client *client, const struct principal *who)
{
    struct arena *arena = arena_new(), *before = client->arena;
    struct str *scopes = arena_array(arena, who->scopes.count, sizeof(*scopes));

    if (client->authenticated)
        (void)server_tenant(client->server, client->who.org_id, -1);
    for (size_t i = 0; i < who->scopes.count; i++)
        scopes[i] = arena_str(arena, ((const struct str *)who->scopes.at)[i]);
    client->who = *who;
    client->who.user_id = arena_str(arena, who->user_id);
    client->who.org_id = arena_str(arena, who->org_id);
    client->who.key_id = arena_str(arena, who->key_id);
    client->who.scopes = (struct list){ scopes, who->scopes.count };
    client->authenticated = true;
    client->address = arena_str(arena, client->address);
    client->wanted_loop = client->wanted_loop.at ? arena_str(arena, client->wanted_loop) : STR_NONE;
    client->arena = arena;
    arena_free(before);
    (void)server_tenant(client->server, client->who.org_id, 1);
}

static void refuse(struct client *client, enum result result)
{
    if (result == ERR_AUTH_INVALID) {
        notice_problem(client,
                       &(struct problem){ .message = "Invalid or expired token", .code = 401 });
        client_close(client, WS_LOGIN, "Invalid or expired token");
    } else {
        client_close(client, WS_TRY_LATER, "Database unavailable");
    }
}

static void welcome(struct client *client, const struct query *query)
{
    bool first = client->state == CLIENT_JOINING;

    client->state = CLIENT_OPEN;
    if (query->who.org_id.at)
        become(client, &query->who);
    send_connection_info(client);
    send_loop_list(client, query);
    if (!first) {
        hub_reopen(client);
        return;
    }
    client->heartbeat_us = monotonic_us() + HEARTBEAT_US;
    if (client->wanted_loop.at)
        session_subscribe(client, client->wanted_loop, client->wanted_from);
}

void join_answered(struct client *client, const struct query *query)
{
    join_span_end(client, query->result);
    if (query->result != OK) {
        refuse(client, query->result);
    } else if (query->only_live) {
        send_loop_list(client, query);
    } else {
        welcome(client, query);
        client_go_on(client);
    }
}
