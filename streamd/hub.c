#include "streamd/hub.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "streamd/server.h"
#include "streamd/session.h"
#include "streamd/stream_span.h"
#include "streamd/table.h"
#include "streamd/text.h"

#include <stdlib.h>

/* A transaction may commit that late after it took its time. */
#define SWEEP_AGAIN (10 * US_PER_S)

struct subscription {
    struct client *client;
    struct loop *loop;
    struct subscription *next_of_loop, *prev_of_loop, *next_of_client;
    int64_t sent;      /* seq */
    int64_t replay_to; /* seq; 0: no replay is under way */
    int64_t replayed;
    uint64_t opening; /* the ticket of the snapshot that it waits for; 0: of none */
    struct span span; /* until it is open and what was before is sent */
};

struct loop {
    struct table_place place;
    struct hub *hub;
    struct str org_id, loop_id; /* in key */
    struct subscription *subscriptions;
    struct text *texts;
    int64_t known;    /* seq */
    int64_t followed; /* the last seq that told of a text */
    bool reading;
    bool stalled; /* the table did not have what was announced: again at the next tick */
    char key[];   /* org_id, a line break, loop_id */
};

struct hub {
    struct server *server;
    struct table loops; /* by loop_key() */
    struct buf key;
    struct utc since; /* of the next sweep */
    bool sweeping;
    uint64_t tickets; /* given out */
};

struct hub *hub_new(struct server *server)
{
    struct hub *hub = calloc(1, sizeof(*hub));

    if (!hub)
        abort();
    hub->server = server;
    return hub;
}

/* Until the next call. */
static struct str loop_key(struct hub *hub, struct str org_id, struct str loop_id)
{
    buf_clear(&hub->key);
    buf_str(&hub->key, org_id);
    buf_char(&hub->key, '\n'); /* in no id */
    buf_str(&hub->key, loop_id);
    return buf_view(&hub->key);
}

static struct loop *loop_find(struct hub *hub, struct str org_id, struct str loop_id)
{
    return table_find(&hub->loops, loop_key(hub, org_id, loop_id));
}

static struct loop *loop_get(struct hub *hub, struct str org_id, struct str loop_id)
{
    struct str key = loop_key(hub, org_id, loop_id);
    struct loop *loop = table_find(&hub->loops, key);

    if (loop)
        return loop;
    loop = calloc(1, sizeof(*loop) + key.len);
    if (!loop)
        abort();
    memcpy(loop->key, key.at, key.len);
    loop->hub = hub;
    loop->org_id = (struct str){ loop->key, org_id.len };
    loop->loop_id = (struct str){ loop->key + org_id.len + 1, loop_id.len };
    table_add(&hub->loops, &loop->place, (struct str){ loop->key, key.len });
    return loop;
}

static void loop_release(struct loop *loop)
{
    if (loop->subscriptions || loop->texts || loop->reading)
        return;
    table_remove(&loop->hub->loops, &loop->place);
    free(loop);
}

static void loop_free(void *arg, struct table_place *place)
{
    struct loop *loop = (struct loop *)place;

    (void)arg;
    texts_free(&loop->texts);
    free(loop);
}

void hub_free(struct hub *hub)
{
    table_each(&hub->loops, loop_free, NULL);
    table_free(&hub->loops);
    buf_free(&hub->key);
    free(hub);
}

size_t hub_loops(const struct hub *hub)
{
    return hub->loops.count;
}

/* --- Deltas ------------------------------------------------------------------------------ */

/* To who has been sent the start of that text; to others with that start. */
static void delta_send(struct hub *hub, const struct announced *announced, struct str json)
{
    struct loop *loop = loop_find(hub, announced->org_id, announced->loop_id);
    struct text *text = NULL;
    struct frame *frame;

    if (loop)
        text =
            text_of_attempt(&loop->texts, announced->agent, announced->task_id, announced->attempt);
    if (!text)
        return;
    frame = frame_text(json);
    text_hear(text, announced->agent_seq, frame);
    for (struct subscription *s = loop->subscriptions; s; s = s->next_of_loop)
        if (!s->opening && s->sent >= text->start_seq)
            client_send(s->client, frame);
    frame_drop(frame);
}

static void deltas_send(struct client *client, const struct text *text)
{
    for (size_t i = 0; i < text->count; i++)
        client_send(client, text->deltas[i]);
}

/* --- Events ------------------------------------------------------------------------------ */

static void send_replay_end(struct subscription *s)
{
    s->replay_to = 0;
    replay_span_end(&s->span, s->replayed);
    session_replay_end(s->client, s->loop->loop_id, s->replayed, s->sent);
}

/* The first seq that somebody who can take it lacks; 0: nobody lacks any. */
static int64_t lacking(const struct loop *loop)
{
    int64_t from = 0;

    for (const struct subscription *s = loop->subscriptions; s; s = s->next_of_loop)
        if (!s->opening && s->sent < loop->known && !client_is_full(s->client) &&
            !client_is_ending(s->client) && (!from || s->sent + 1 < from))
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

/* An event to whom it follows for. stored: read for who fell behind, so that who has enough to
 * take may fall behind further. */
static void deliver(struct loop *loop, int64_t seq, struct str json, bool stored)
{
    const struct text *begun = text_started(loop->texts, seq);
    struct frame *frame = NULL;

    for (struct subscription *s = loop->subscriptions; s; s = s->next_of_loop) {
        if (s->opening || seq != s->sent + 1 || (stored && client_is_full(s->client)))
            continue;
        if (!frame)
            frame = frame_text(json);
        s->sent = seq;
        s->replayed++;
        client_send(s->client, frame);
        if (begun)
            deltas_send(s->client, begun);
        if (s->replay_to && seq >= s->replay_to)
            send_replay_end(s);
    }
    frame_drop(frame);
}

static void follow(struct loop *loop, const struct text_event *event)
{
    texts_follow(&loop->texts, event);
    if (event->seq > loop->followed)
        loop->followed = event->seq;
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
    /* What waited on the bus while the table was read may begin a text that has ended. */
    if (announced->seq > loop->followed)
        follow(loop, &(struct text_event){ announced->type, announced->agent, announced->task_id,
                                           announced->seq, announced->attempt });
    if (announced->seq > loop->known)
        loop->known = announced->seq;
    deliver(loop, announced->seq, json, false);
    read_on(loop);
    loop_release(loop);
}

static void loop_moved(struct hub *hub, struct str org_id, struct str loop_id, int64_t last_seq)
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
    loop->stalled = query->result != OK || !query->events.count || events[0].seq != query->from;
    for (size_t i = 0; i < query->events.count; i++) {
        follow(loop, &(struct text_event){ events[i].type, events[i].agent, events[i].task_id,
                                           events[i].seq, events[i].attempt });
        deliver(loop, events[i].seq, events[i].json, true);
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
    replay_span_end(&s->span, s->replayed);
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
    old->opening = ++client->server->hub->tickets; /* an earlier answer is not for it */
    old->replay_to = 0;
    query = query_new(QUERY_SNAPSHOT);
    query->client_id = client->id;
    query->ticket = old->opening;
    replay_span_begin(&old->span, client, loop_id, from);
    query->trace = old->span.context;
    query->loop_id = arena_str(query->arena, loop_id);
    if (client->authenticated)
        query->visible_org = arena_str(query->arena, client->who.org_id);
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

void hub_reopen(struct client *client)
{
    struct str loops[SUBSCRIPTIONS_MAX];
    size_t count = 0;

    for (const struct subscription *s = client->subscriptions; s; s = s->next_of_client)
        loops[count++] = arena_str(client->server->turn, s->loop->loop_id);
    hub_leave(client);
    while (count)
        (void)hub_subscribe(client, loops[--count], -1); /* as many as there were */
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

/* The same text as it was stored by a later attempt, whose start was not heard of. */
static bool is_outdated(const struct text *text, const struct list *stored)
{
    const struct running_text *all = stored->at;

    for (size_t i = 0; i < stored->count; i++)
        if (str_eq(all[i].agent, text->agent) && str_eq(all[i].task_id, text->task_id))
            return all[i].attempt > text->attempt;
    return false;
}

/* The running texts whose start the client has: as they were heard, else as last stored. */
static struct str running_json(const struct loop *loop, const struct query *query, int64_t has)
{
    CLEANUP(buf_free) struct buf json = { 0 };
    const struct running_text *stored = query->running.at;
    struct arena *turn = loop->hub->server->turn;

    buf_char(&json, '[');
    for (struct text *text = loop->texts; text; text = text->next)
        if (text->count && text->start_seq <= has && !is_outdated(text, &query->running))
            session_running_text(
                &json, &(struct running_text){ text->agent, text->task_id, text_said(text, turn),
                                               (int64_t)text->count, text->attempt });
    for (size_t i = 0; i < query->running.count; i++) {
        const struct text *text = text_find(loop->texts, stored[i].agent, stored[i].task_id);

        if (!text || stored[i].attempt > text->attempt || (!text->count && text->start_seq <= has))
            session_running_text(&json, &stored[i]);
    }
    buf_char(&json, ']');
    return arena_str(turn, buf_view(&json));
}

/* The loop may turn out to be a public one of another organisation, or one no more. */
static struct subscription *settle(struct subscription *s, struct str org_id, struct str loop_id)
{
    struct client *client = s->client;
    struct span span = s->span;

    if (str_eq(s->loop->org_id, org_id))
        return s;
    s->span = (struct span){ 0 };
    subscription_free(s);
    s = subscription_new(client, loop_get(client->server->hub, org_id, loop_id));
    s->span = span;
    return s;
}

static void open_at(struct subscription *s, const struct query *query)
{
    int64_t last = query->state.last_seq;
    bool replay = query->from >= 0, ahead = query->from > last;
    int64_t has = replay && !ahead ? query->from : last;
    struct str running = running_json(s->loop, query, has);

    if (last > s->loop->known)
        s->loop->known = last;
    if (!replay || ahead)
        session_sync(s->client, query, running, !ahead);
    s->opening = 0;
    s->replayed = 0;
    s->sent = has;
    if (!replay) {
        replay_span_end(&s->span, 0);
        return;
    }
    session_replay_start(s->client, query, running, ahead);
    s->replay_to = last;
    if (s->sent >= last)
        send_replay_end(s);
}

/* Should the loop come to be, all of it is new. */
static void open_waiting(struct subscription *s)
{
    session_waiting(s->client, s->loop->loop_id);
    s->opening = 0;
    s->sent = 0;
    replay_span_end(&s->span, 0);
}

void hub_snapshot(struct client *client, const struct query *query)
{
    struct subscription *s = subscription_of(client, query->loop_id);

    if (!s || s->opening != query->ticket)
        return; /* meanwhile it has unsubscribed, or asked again */
    if (query->result == ERR_NOT_FOUND) {
        s = settle(s, client->who.org_id, query->loop_id);
        open_waiting(s);
    } else if (query->result == OK) {
        s = settle(s, query->org_id, query->loop_id);
        open_at(s, query);
    } else {
        span_fail(&s->span, STR("database"));
        client_close(client, WS_TRY_LATER, "Database unavailable");
    }
    read_on(s->loop);
}

/* --- Time -------------------------------------------------------------------------------- */

static void loop_tick(void *now_us, struct table_place *place)
{
    struct loop *loop = (struct loop *)place;

    loop->stalled = false;
    texts_forget(&loop->texts, *(const int64_t *)now_us);
    read_on(loop);
    loop_release(loop);
}

void hub_tick(struct hub *hub, int64_t now_us)
{
    struct query *query;

    table_each(&hub->loops, loop_tick, &now_us);
    if (hub->sweeping)
        return;
    hub->sweeping = true;
    query = query_new(QUERY_SWEEP);
    query->since = hub->since;
    reader_ask(hub->server->reader, query);
}

void hub_swept(struct hub *hub, const struct query *query)
{
    const struct loop_moved *moved = query->moved.at;
    const struct loops_of *active = query->active.at;

    hub->sweeping = false;
    if (query->result != OK)
        return;
    for (size_t i = 0; i < query->moved.count; i++)
        loop_moved(hub, moved[i].org_id, moved[i].loop_id, moved[i].last_seq);
    if (query->moved.count == LOOPS_MOVED_MAX) /* there are more: from the last one on */
        hub->since = moved[query->moved.count - 1].moved_at;
    else if (query->moved.count)
        hub->since.us = moved[query->moved.count - 1].moved_at.us - SWEEP_AGAIN;
    server_tenants_idle(hub->server);
    for (size_t i = 0; i < query->active.count; i++)
        server_tenant_active(hub->server, active[i].org_id, active[i].active);
}
