#include "streamd/hub.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "streamd/server.h"
#include "streamd/session.h"

#include <stdlib.h>
#include <uthash.h>

#define TEXT_MAX  (256 * 1024)     /* bytes of a running text that is kept for who joins late */
#define TEXT_IDLE (900 * US_PER_S) /* its end was missed */
#define SWEEP_AGAIN                                                                                \
    (10 * US_PER_S) /* a transaction may commit that late after it took its time                   \
                     */

/* What an agent is saying now. */
struct text {
    struct text *next;
    struct str agent, task_id; /* behind the struct */
    struct buf heard;
    int64_t last;      /* agent_seq of the last delta in heard */
    int64_t start_seq; /* of its token_start */
    int64_t heard_us;
    bool whole; /* from the first delta on, without a gap */
    char names[];
};

struct subscription {
    struct client *client;
    struct loop *loop;
    struct subscription *next_of_loop, *prev_of_loop, *next_of_client;
    int64_t sent;      /* seq */
    int64_t replay_to; /* seq; 0: no replay is under way */
    int64_t replayed;
    bool opening; /* its snapshot is being read */
};

struct loop {
    UT_hash_handle hh;
    struct hub *hub;
    struct str org_id, loop_id; /* in key */
    struct subscription *subscriptions;
    struct text *texts;
    int64_t known; /* seq */
    bool reading;
    bool stalled; /* the table did not have what was announced: again at the next tick */
    char key[];   /* org_id, a line break, loop_id */
};

struct hub {
    struct server *server;
    struct loop *loops;
    struct utc newest; /* of what the sweep saw */
    bool sweeping;
};

struct hub *hub_new(struct server *server)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        abort();
    hub->server = server;
    hub->newest = utc_now();
    return hub;
}

static struct loop *loop_find(struct hub *hub, struct str org_id, struct str loop_id)
{
    char key[512];
    struct loop *loop = NULL;

    if (org_id.len + 1 + loop_id.len > sizeof(key))
        return NULL;
    memcpy(key, org_id.at ? org_id.at : "", org_id.len);
    key[org_id.len] = '\n';
    memcpy(key + org_id.len + 1, loop_id.at, loop_id.len);
    HASH_FIND(hh, hub->loops, key, org_id.len + 1 + loop_id.len, loop);
    return loop;
}

static struct loop *loop_get(struct hub *hub, struct str org_id, struct str loop_id)
{
    struct loop *loop = loop_find(hub, org_id, loop_id);
    size_t len = org_id.len + 1 + loop_id.len;

    if (loop || len > 512)
        return loop;
    loop = calloc(1, sizeof(*loop) + len);
    if (!loop)
        abort();
    memcpy(loop->key, org_id.at ? org_id.at : "", org_id.len);
    loop->key[org_id.len] = '\n';
    memcpy(loop->key + org_id.len + 1, loop_id.at, loop_id.len);
    loop->hub = hub;
    loop->org_id = (struct str){ loop->key, org_id.len };
    loop->loop_id = (struct str){ loop->key + org_id.len + 1, loop_id.len };
    HASH_ADD(hh, hub->loops, key, len, loop);
    return loop;
}

static void text_free(struct loop *loop, struct text *text)
{
    struct text **at = &loop->texts;

    while (*at != text)
        at = &(*at)->next;
    *at = text->next;
    buf_free(&text->heard);
    free(text);
}

static void loop_release(struct loop *loop)
{
    if (loop->subscriptions || loop->texts || loop->reading)
        return;
    HASH_DEL(loop->hub->loops, loop);
    free(loop);
}

void hub_free(struct hub *hub)
{
    struct loop *loop, *next;

    HASH_ITER(hh, hub->loops, loop, next)
    {
        while (loop->texts)
            text_free(loop, loop->texts);
        HASH_DEL(hub->loops, loop);
        free(loop);
    }
    free(hub);
}

size_t hub_loops(const struct hub *hub)
{
    return HASH_COUNT(hub->loops);
}

/* --- Running texts ----------------------------------------------------------------------- */

static struct text *text_find(const struct loop *loop, struct str agent, struct str task_id)
{
    struct text *text = loop->texts;

    while (text && !(str_eq(text->agent, agent) && str_eq(text->task_id, task_id)))
        text = text->next;
    return text;
}

static struct text *text_new(struct loop *loop, struct str agent, struct str task_id)
{
    struct text *text = calloc(1, sizeof(*text) + agent.len + task_id.len);

    if (!text)
        abort();
    memcpy(text->names, agent.at, agent.len);
    memcpy(text->names + agent.len, task_id.at, task_id.len);
    text->agent = (struct str){ text->names, agent.len };
    text->task_id = (struct str){ text->names + agent.len, task_id.len };
    text->next = loop->texts;
    loop->texts = text;
    return text;
}

/* An event of the journal: a text begins anew, or is over. */
static void texts_follow(struct loop *loop, struct str type, struct str agent, struct str task_id,
                         int64_t seq)
{
    struct text *text;

    if (str_is(type, "debate_end")) {
        while (loop->texts)
            text_free(loop, loop->texts);
        return;
    }
    if (!str_starts(type, STR("token_")))
        return;
    text = text_find(loop, agent, task_id);
    if (text && seq > text->start_seq)
        text_free(loop, text);
    if (str_is(type, "token_start") && (!text || seq > text->start_seq)) {
        text = text_new(loop, agent, task_id);
        text->start_seq = seq;
        text->heard_us = monotonic_coarse_us();
        text->whole = true;
    }
}

static struct str delta_token(struct arena *arena, struct str json)
{
    struct json_object *frame, *data;
    struct str token = STR_NONE;

    if (json_parse(&frame, arena, json, &json_limits_wide, NULL) == OK &&
        json_get(&data, frame, "data"))
        (void)json_get_str(&token, data, "token");
    return token;
}

static void delta_keep(struct hub *hub, struct text *text, const struct announced *announced,
                       struct str json)
{
    struct str token;

    text->heard_us = monotonic_coarse_us();
    if (!text->whole)
        return;
    text->whole = announced->agent_seq == text->last + 1 && text->heard.len < TEXT_MAX;
    token = text->whole ? delta_token(hub->server->turn, json) : STR_NONE;
    text->last = announced->agent_seq;
    buf_str(&text->heard, token);
}

/* Only to who has been sent the start of that text; its end has the whole. */
static void delta_send(struct hub *hub, const struct announced *announced, struct str json)
{
    struct loop *loop = loop_find(hub, announced->org_id, announced->loop_id);
    struct text *text = loop ? text_find(loop, announced->agent, announced->task_id) : NULL;
    struct frame *frame = NULL;
    struct subscription *next;

    if (!text)
        return;
    delta_keep(hub, text, announced, json);
    for (struct subscription *s = loop->subscriptions; s; s = next) {
        next = s->next_of_loop;
        if (s->opening || s->sent < text->start_seq)
            continue;
        if (!frame)
            frame = frame_text(json);
        client_send(s->client, frame);
    }
    frame_drop(frame);
}

/* --- Events ------------------------------------------------------------------------------ */

static void send_replay_end(struct subscription *s)
{
    s->replay_to = 0;
    session_replay_end(s->client, s->loop->loop_id, s->replayed, s->sent);
}

/* If it is the next one. */
static void offer(struct subscription *s, int64_t seq, struct frame *frame)
{
    if (s->opening || seq != s->sent + 1)
        return;
    s->sent = seq;
    s->replayed++;
    client_send(s->client, frame);
    if (s->replay_to && s->sent >= s->replay_to && s->client->state == CLIENT_OPEN)
        send_replay_end(s);
}

/* The first seq that somebody who can take it lacks; 0: nobody lacks any. */
static int64_t lacking(const struct loop *loop)
{
    int64_t from = 0;

    for (const struct subscription *s = loop->subscriptions; s; s = s->next_of_loop)
        if (!s->opening && s->sent < loop->known && !client_is_full(s->client) &&
            (!from || s->sent + 1 < from))
            from = s->sent + 1;
    return from;
}

static void read_on(struct loop *loop)
{
    int64_t from = loop->reading || loop->stalled ? 0 : lacking(loop);
    struct query *query;

    if (!from)
        return;
    query = query_new(QUERY_EVENTS);
    query->org_id = arena_str(query->arena, loop->org_id);
    query->loop_id = arena_str(query->arena, loop->loop_id);
    query->from = from;
    loop->reading = true;
    reader_ask(loop->hub->server->reader, query);
}

static void deliver(struct loop *loop, int64_t seq, struct str json)
{
    struct frame *frame = NULL;
    struct subscription *next;

    for (struct subscription *s = loop->subscriptions; s; s = next) {
        next = s->next_of_loop; /* sending may end this one */
        if (s->opening || seq != s->sent + 1)
            continue;
        if (!frame)
            frame = frame_text(json);
        offer(s, seq, frame);
    }
    frame_drop(frame);
}

void hub_event(struct hub *hub, const struct announced *announced, struct str json)
{
    bool is_start = str_is(announced->type, "token_start");
    struct loop *loop;

    if (!announced->seq) {
        delta_send(hub, announced, json);
        return;
    }
    loop = is_start ? loop_get(hub, announced->org_id, announced->loop_id)
                    : loop_find(hub, announced->org_id, announced->loop_id);
    if (!loop)
        return;
    texts_follow(loop, announced->type, announced->agent, announced->task_id, announced->seq);
    if (announced->seq > loop->known)
        loop->known = announced->seq;
    deliver(loop, announced->seq, json);
    read_on(loop);
    loop_release(loop);
}

void hub_moved(struct hub *hub, struct str org_id, struct str loop_id, int64_t last_seq)
{
    struct loop *loop = loop_find(hub, org_id, loop_id);

    if (!loop || last_seq <= loop->known)
        return;
    loop->known = last_seq;
    read_on(loop);
}

void hub_events(struct hub *hub, const struct query *query)
{
    struct loop *loop = loop_find(hub, query->org_id, query->loop_id);
    const struct read_event *events = query->events.at;

    if (!loop)
        return;
    loop->reading = false;
    loop->stalled = query->result != OK || query->events.count == 0;
    for (size_t i = 0; i < query->events.count; i++) {
        texts_follow(loop, events[i].type, events[i].agent, events[i].task_id, events[i].seq);
        deliver(loop, events[i].seq, events[i].json);
    }
    read_on(loop);
    loop_release(loop);
}

/* --- Subscriptions ----------------------------------------------------------------------- */

static struct subscription *subscription_of(const struct client *client, struct str loop_id)
{
    struct subscription *s = client->subscriptions;

    while (s && !str_eq(s->loop->loop_id, loop_id))
        s = s->next_of_client;
    return s;
}

static void subscription_free(struct subscription *s)
{
    struct subscription **at = &s->client->subscriptions;
    struct loop *loop = s->loop;

    while (*at != s)
        at = &(*at)->next_of_client;
    *at = s->next_of_client;
    s->client->subscription_count--;
    if (s->prev_of_loop)
        s->prev_of_loop->next_of_loop = s->next_of_loop;
    else
        loop->subscriptions = s->next_of_loop;
    if (s->next_of_loop)
        s->next_of_loop->prev_of_loop = s->prev_of_loop;
    free(s);
    loop_release(loop);
}

static struct subscription *subscription_new(struct client *client, struct loop *loop)
{
    struct subscription *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->client = client;
    s->loop = loop;
    s->next_of_client = client->subscriptions;
    client->subscriptions = s;
    client->subscription_count++;
    s->next_of_loop = loop->subscriptions;
    if (s->next_of_loop)
        s->next_of_loop->prev_of_loop = s;
    loop->subscriptions = s;
    return s;
}

bool hub_subscribe(struct client *client, struct str loop_id, int64_t from)
{
    struct query *query;
    struct subscription *old = subscription_of(client, loop_id);

    if (!old && client->subscription_count >= SUBSCRIPTIONS_MAX)
        return false;
    if (!old)
        old = subscription_new(client, loop_get(client->server->hub, client->who.org_id, loop_id));
    old->opening = true;
    old->replay_to = 0;
    query = query_new(QUERY_SNAPSHOT);
    query->client_id = client->id;
    query->loop_id = arena_str(query->arena, loop_id);
    query->who.org_id =
        client->who.org_id.at ? arena_str(query->arena, client->who.org_id) : STR_NONE;
    query->from = from;
    reader_ask(client->server->reader, query);
    return true;
}

bool hub_unsubscribe(struct client *client, struct str loop_id)
{
    struct subscription *s = subscription_of(client, loop_id);

    if (s)
        subscription_free(s);
    return s != NULL;
}

void hub_leave(struct client *client)
{
    while (client->subscriptions)
        subscription_free(client->subscriptions);
}

void hub_resume(struct client *client)
{
    for (struct subscription *s = client->subscriptions; s; s = s->next_of_client)
        read_on(s->loop);
}

bool hub_progress(const struct client *client, int64_t *last_seq)
{
    if (!client->subscriptions || client->subscriptions->opening)
        return false;
    *last_seq = client->subscriptions->loop->known;
    return true;
}

/* The running texts whose start the snapshot has: from memory when they are whole there, else as
 * they were last stored. */
static struct str running_json(const struct loop *loop, const struct query *query)
{
    CLEANUP(buf_free) struct buf json = { 0 };
    const struct running_text *stored = query->running.at;

    buf_char(&json, '[');
    for (const struct text *text = loop->texts; text; text = text->next)
        if (text->whole && text->heard.len && text->start_seq <= query->state.last_seq)
            session_running_text(&json, text->agent, text->task_id, buf_view(&text->heard),
                                 text->last);
    for (size_t i = 0; i < query->running.count; i++) {
        const struct text *text = text_find(loop, stored[i].agent, stored[i].task_id);

        if (!text || !text->whole)
            session_running_text(&json, stored[i].agent, stored[i].task_id, stored[i].text,
                                 stored[i].text_seq);
    }
    buf_char(&json, ']');
    return arena_str(loop->hub->server->turn, buf_view(&json));
}

/* The loop may turn out to be a public one of another organisation. */
static struct subscription *settle(struct subscription *s, const struct query *query)
{
    struct client *client = s->client;

    if (str_eq(s->loop->org_id, query->org_id))
        return s;
    subscription_free(s);
    return subscription_new(client, loop_get(client->server->hub, query->org_id, query->loop_id));
}

static void open_at(struct subscription *s, const struct query *query)
{
    int64_t last = query->state.last_seq;
    bool replay = query->from >= 0, ahead = query->from > last;

    if (last > s->loop->known)
        s->loop->known = last;
    if (!replay || ahead)
        session_sync(s->client, query, running_json(s->loop, query), !ahead);
    s->opening = false;
    s->replayed = 0;
    s->sent = replay && !ahead ? query->from : last;
    if (!replay)
        return;
    session_replay_start(s->client, query, last - s->sent, ahead);
    s->replay_to = last;
    if (s->sent >= last)
        send_replay_end(s);
}

void hub_snapshot(struct hub *hub, struct client *client, const struct query *query)
{
    struct subscription *s = subscription_of(client, query->loop_id);

    (void)hub;
    if (!s || !s->opening)
        return; /* it has unsubscribed meanwhile */
    if (query->result == ERR_NOT_FOUND) {
        session_waiting(client, query->loop_id);
        s->opening = false;
        s->sent = 0; /* should it come to be, all of it is new */
        read_on(s->loop);
        return;
    }
    if (query->result != OK) {
        client_close(client, WS_TRY_LATER, "Database unavailable");
        return;
    }
    s = settle(s, query);
    open_at(s, query);
    if (client->state == CLIENT_OPEN)
        read_on(s->loop);
}

/* --- Time -------------------------------------------------------------------------------- */

static void texts_forget(struct loop *loop, int64_t now_us)
{
    struct text *next;

    for (struct text *text = loop->texts; text; text = next) {
        next = text->next;
        if (now_us - text->heard_us > TEXT_IDLE)
            text_free(loop, text);
    }
}

void hub_tick(struct hub *hub, int64_t now_us)
{
    struct loop *loop, *next;
    struct query *query;

    HASH_ITER(hh, hub->loops, loop, next)
    {
        loop->stalled = false;
        texts_forget(loop, now_us);
        read_on(loop);
        loop_release(loop);
    }
    if (hub->sweeping)
        return;
    hub->sweeping = true;
    query = query_new(QUERY_SWEEP);
    query->since.us = hub->newest.us - SWEEP_AGAIN;
    reader_ask(hub->server->reader, query);
}

void hub_swept(struct hub *hub, const struct query *query)
{
    const struct loop_moved *moved = query->moved.at;
    const struct loops_of *active = query->active.at;

    hub->sweeping = false;
    if (query->result != OK)
        return;
    for (size_t i = 0; i < query->moved.count; i++) {
        hub_moved(hub, moved[i].org_id, moved[i].loop_id, moved[i].last_seq);
        if (moved[i].moved_at.us > hub->newest.us)
            hub->newest = moved[i].moved_at;
    }
    server_tenants_idle(hub->server);
    for (size_t i = 0; i < query->active.count; i++)
        server_tenant_active(hub->server, active[i].org_id, active[i].active);
}
