#include "streamd/snapshot.h"

#include <math.h>

#define MESSAGES_MAX 1000

struct said {
    struct str agent, role, content;
    int64_t round;
};

static const struct field said_fields[] = {
    { FIELD(struct said, agent) },
    { FIELD(struct said, role) },
    { FIELD(struct said, round) },
    { FIELD(struct said, content) },
    { 0 },
};

struct snapshot {
    struct str id, debate_id, status, task, mode, consensus_answer;
    struct json_text agents, settlement;
    struct list messages; /* of struct said */
    bool consensus_reached, ended;
    double consensus_confidence, duration;
    struct utc started_at;
    int64_t rounds, as_of_seq;
};

static const struct field snapshot_fields[] = {
    { FIELD(struct snapshot, id) },
    { FIELD(struct snapshot, debate_id) },
    { FIELD(struct snapshot, status) },
    { FIELD(struct snapshot, task) },
    { FIELD(struct snapshot, agents), .kind = JSON_ARRAY, .absent = ABSENT_EMPTY },
    { FIELD_LIST(struct snapshot, messages, struct said, said_fields), .absent = ABSENT_EMPTY },
    { FIELD(struct snapshot, consensus_reached) },
    { FIELD(struct snapshot, consensus_confidence), .absent = ABSENT_NULL },
    { FIELD(struct snapshot, consensus_answer), .absent = ABSENT_NULL },
    { FIELD(struct snapshot, started_at), .form = FORM_EPOCH },
    { FIELD(struct snapshot, rounds) },
    { FIELD(struct snapshot, duration), .absent = ABSENT_EMPTY },
    { FIELD(struct snapshot, ended) },
    { FIELD(struct snapshot, mode), .absent = ABSENT_NULL },
    { FIELD(struct snapshot, settlement), .absent = ABSENT_NULL },
    { FIELD(struct snapshot, as_of_seq) },
    { 0 },
};

struct start {
    struct str debate_id, status, task;
    struct json_text agents;
};

static const struct field start_fields[] = {
    { FIELD(struct start, debate_id) },
    { FIELD(struct start, status) },
    { FIELD(struct start, task) },
    { FIELD(struct start, agents), .kind = JSON_ARRAY, .absent = ABSENT_EMPTY },
    { 0 },
};

static double number_of(struct json_object *data, const char *key)
{
    struct json_object *value;

    return json_get(&value, data, key) && (json_object_is_type(value, json_type_double) ||
                                           json_object_is_type(value, json_type_int))
               ? json_object_get_double(value)
               : NAN;
}

static struct str array_of(struct arena *arena, struct json_object *data, const char *key)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    struct json_object *value;

    if (!json_get(&value, data, key) || !json_object_is_type(value, json_type_array))
        return STR_NONE;
    json_write(&text, value);
    return arena_str(arena, buf_view(&text));
}

/* The last MESSAGES_MAX are kept. */
static void add_message(struct snapshot *snapshot, struct arena *arena, const struct event *event,
                        struct json_object *data)
{
    struct said said = { .agent = event->agent,
                         .role = str_is(event->type, "critique") ? STR("critic") : STR_NONE,
                         .round = event->round };
    struct said *all = snapshot->messages.at;

    if (!all)
        all = snapshot->messages.at = arena_array(arena, MESSAGES_MAX, sizeof(*all));
    (void)json_get_str(&said.content, data, "content");
    if (!said.role.at)
        (void)json_get_str(&said.role, data, "role");
    if (snapshot->messages.count == MESSAGES_MAX)
        memmove(all, all + 1, --snapshot->messages.count * sizeof(*all));
    all[snapshot->messages.count++] = said;
}

static void add_consensus(struct snapshot *snapshot, struct json_object *data)
{
    bool check = false;

    (void)json_get_bool(&check, data, "is_convergence_check");
    if (check) /* on the way; the verdict comes once */
        return;
    (void)json_get_bool(&snapshot->consensus_reached, data, "reached");
    snapshot->consensus_confidence = number_of(data, "confidence");
    (void)json_get_str(&snapshot->consensus_answer, data, "answer");
}

static void add_end(struct snapshot *snapshot, struct json_object *data)
{
    double rounds = number_of(data, "rounds");

    snapshot->ended = true;
    snapshot->duration = number_of(data, "duration");
    snapshot->rounds = isnan(rounds) ? 0 : (int64_t)rounds;
}

static void add_event(struct snapshot *snapshot, struct arena *arena, const struct event *event)
{
    struct json_object *data;

    if (json_parse(&data, arena, event->data.text, &json_limits_wide, NULL) != OK)
        return; /* not ours */
    if (str_is(event->type, "debate_start")) {
        snapshot->started_at = event->at;
        (void)json_get_str(&snapshot->task, data, "task");
        (void)json_get_str(&snapshot->mode, data, "mode");
        snapshot->agents.text = array_of(arena, data, "agents");
    } else if (str_is(event->type, "consensus")) {
        add_consensus(snapshot, data);
    } else if (str_is(event->type, "debate_end")) {
        add_end(snapshot, data);
    } else {
        add_message(snapshot, arena, event, data);
    }
}

static struct str status_word(struct str stored)
{
    if (str_is(stored, "queued") || str_is(stored, "starting"))
        return STR("waiting");
    if (str_is(stored, "error"))
        return STR("failed");
    return str_is(stored, "completed") || str_is(stored, "cancelled") || str_is(stored, "timeout")
               ? stored
               : STR("in_progress");
}

enum result snapshot_read(struct str *sync, struct str *start, struct db *db, struct str loop_id,
                          const struct loop_state *state)
{
    CLEANUP(buf_free) struct buf members = { 0 }, late = { 0 };
    struct arena *arena = db_arena(db);
    struct snapshot snapshot = { .id = loop_id,
                                 .debate_id = loop_id,
                                 .status = status_word(state->status),
                                 .consensus_confidence = NAN,
                                 .duration = NAN,
                                 .as_of_seq = state->last_seq };
    struct list events;

    TRY(event_history(&events, db, loop_id, state->last_seq));
    for (size_t i = 0; i < events.count; i++)
        add_event(&snapshot, arena, (const struct event *)events.at + i);
    fields_write_members(&members, &snapshot, snapshot_fields);
    *sync = arena_str(arena, buf_view(&members));
    *start = STR_NONE;
    if (state->ended)
        return OK;
    fields_write(&late,
                 &(struct start){ loop_id, STR("in_progress"), snapshot.task, snapshot.agents },
                 start_fields);
    *start = arena_str(arena, buf_view(&late));
    return OK;
}
