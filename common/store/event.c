#include "common/store/event.h"

#include "common/base/clock.h"

static const char *const names[EVENT_COUNT] = {
#define EVENT(name, doc) #name,
#include "common/store/events.def"
#undef EVENT
};

/* Set once at start, before any thread. */
static struct {
    event_listener *fn;
    void *arg;
} listener;

static const struct field event_row[] = {
    { FIELD(struct event, loop_id) },
    { FIELD(struct event, seq) },
    { FIELD(struct event, type) },
    { FIELD(struct event, agent) },
    { FIELD(struct event, agent_seq) },
    { FIELD(struct event, round) },
    { FIELD(struct event, task_id) },
    { FIELD(struct event, at) },
    { FIELD(struct event, trace_id) },
    { FIELD(struct event, data) },
    { 0 },
};

#define EVENT_SELECT                                                                               \
    "SELECT loop_id, seq, type, agent, agent_seq, round, task_id, at, trace_id, data FROM events"  \
    " WHERE org_id = $1 AND loop_id = $2"

void event_listen(event_listener *fn, void *arg)
{
    listener.fn = fn;
    listener.arg = arg;
}

struct announcement {
    struct str org_id;
    struct event event;
};

static void announce(void *object)
{
    const struct announcement *announcement = object;

    if (listener.fn)
        listener.fn(listener.arg, announcement->org_id, &announcement->event);
}

struct number {
    int64_t value;
};

static const struct field number_row[] = { { FIELD(struct number, value) }, { 0 } };

enum result event_append(struct event *out, struct db *db, const struct event_draft *draft)
{
    CLEANUP(buf_free) struct buf data = { 0 };
    struct arena *arena = db_arena(db);
    struct number seq;
    struct announcement *told = arena_alloc(arena, sizeof(*told));

    TRY(db_one(&seq, db, number_row, ERR_NOT_FOUND,
               "UPDATE loops SET last_seq = last_seq + 1, moved_at = (SELECT now_us())"
               " WHERE org_id = $1 AND loop_id = $2 RETURNING last_seq",
               BIND(draft->loop_id)));
    if (draft->fields)
        fields_write(&data, draft->data, draft->fields);
    else
        buf_str(&data, STR("{}"));
    /* The agent's latest event is near the end of the loop: the key is read backwards. */
    TRY(db_one(
        &told->event, db, event_row, ERR_INTERNAL,
        "INSERT INTO events (org_id, loop_id, seq, type, agent, agent_seq, round, task_id,"
        " at, trace_id, data) VALUES ($1, $2, $3, $4, $5,"
        " CASE WHEN $10 >= 0 THEN $10 WHEN CAST($5 AS TEXT) IS NULL THEN 0"
        "  ELSE 1 + COALESCE((SELECT e.agent_seq FROM events e"
        "   WHERE e.org_id = $1 AND e.loop_id = $2 AND e.agent = $5 AND e.type NOT LIKE 'token%'"
        "   ORDER BY e.seq DESC LIMIT 1), 0) END,"
        " $6, $7, (SELECT now_us()), $8, $9)"
        " RETURNING loop_id, seq, type, agent, agent_seq, round, task_id, at, trace_id,"
        " data",
        BIND(draft->loop_id, seq.value, names[draft->type], draft->agent, draft->round,
             draft->task_id, draft->trace_id, buf_view(&data),
             draft->in_text ? draft->agent_seq : INT64_C(-1))));
    told->event.attempt = draft->in_text ? draft->attempt : 0;
    told->org_id = db_org(db);
    tx_after(db, announce, told);
    if (out)
        *out = told->event;
    return OK;
}

void event_tell(struct str org_id, const struct event *event)
{
    if (listener.fn)
        listener.fn(listener.arg, org_id, event);
}

enum result event_read(struct list *out, struct db *db, struct str loop_id, int64_t from,
                       int64_t limit)
{
    return db_all(out, db, event_row, sizeof(struct event),
                  EVENT_SELECT " AND seq >= $3 ORDER BY seq LIMIT $4", BIND(loop_id, from, limit));
}

enum result event_history(struct list *out, struct db *db, struct str loop_id, int64_t last_seq)
{
    return db_all(out, db, event_row, sizeof(struct event),
                  EVENT_SELECT " AND seq <= $3 AND type IN ('debate_start', 'agent_message',"
                               " 'critique', 'consensus', 'debate_end') ORDER BY seq",
                  BIND(loop_id, last_seq));
}

static void add_text(struct buf *out, const char *key, struct str text)
{
    buf_json_key(out, str_from(key));
    buf_json_str(out, text);
}

void event_encode(struct buf *out, const struct event *event)
{
    buf_char(out, '{');
    add_text(out, "type", event->type);
    buf_json_key(out, STR("data"));
    buf_str(out, event->data.text);
    buf_json_key(out, STR("timestamp"));
    buf_json_epoch(out, event->at);
    buf_json_key(out, STR("round"));
    buf_json_int(out, event->round);
    add_text(out, "agent", event->agent);
    if (event->seq) { /* a delta has none */
        buf_json_key(out, STR("seq"));
        buf_json_int(out, event->seq);
    }
    buf_json_key(out, STR("agent_seq"));
    buf_json_int(out, event->agent_seq);
    add_text(out, "loop_id", event->loop_id);
    add_text(out, "debate_id", event->loop_id);
    if (event->task_id.len)
        add_text(out, "task_id", event->task_id);
    if (event->trace_id.len)
        add_text(out, "trace_id", event->trace_id);
    buf_char(out, '}');
}

enum result loop_insert(struct db *db, const struct loop_draft *draft)
{
    return db_run(
        NULL, db,
        "INSERT INTO loops (org_id, loop_id, kind, owner_id, visibility, status,"
        " moved_at) VALUES ($1, $2, $3, $4, $5, $6, (SELECT now_us()))",
        BIND(draft->loop_id, draft->kind, draft->owner_id, draft->visibility, draft->status));
}

enum result loop_move(struct db *db, struct str loop_id, struct str from, struct str to, bool final)
{
    int64_t changed;

    TRY(db_run(&changed, db,
               "UPDATE loops SET status = $4, ended_at = CASE WHEN $5 = 1 THEN (SELECT now_us())"
               " ELSE ended_at END"
               " WHERE org_id = $1 AND loop_id = $2 AND status = $3 AND ended_at IS NULL",
               BIND(loop_id, from, to, final)));
    return changed ? OK : ERR_CONFLICT;
}
