#include "common/store/debate.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/store/job.h"

const char *const debate_rules[] = {
    "majority", "weighted", "supermajority", "any", "unanimous", "judge", "hybrid", NULL,
};
const char *const debate_judge_selections[] = { "random", "last", NULL };

bool debate_rule_judges(struct str rule)
{
    return str_is(rule, "judge") || str_is(rule, "hybrid");
}

#define DEBATE_COLUMNS                                                                                                                   \
    "d.debate_id, d.slug, d.task, d.context, l.status, l.visibility, l.owner_id, d.agents,"                                              \
    " d.result, d.consensus_mode, d.judge_selection, d.consensus_strength, d.winner,"                                                    \
    " d.final_answer, d.error, d.receipt_id, d.rounds_requested, d.rounds_used, d.judge_seed,"                                           \
    " l.last_seq, d.consensus_reached, d.is_demo, d.confidence, d.created_at, d.started_at,"                                             \
    " d.completed_at, d.total_cost_micro_usd / 1000000.0, d.total_tokens, d.replay_of, d.parent_debate_id, d.branch_point, d.fork_step," \
    " (SELECT value FROM meta WHERE key = 'stream_epoch') || ':' || l.last_seq"                                                          \
    " FROM debates d JOIN loops l ON l.org_id = d.org_id AND l.loop_id = d.debate_id"

static const struct field debate_row[] = {
    { FIELD(struct debate, debate_id) },
    { FIELD(struct debate, slug) },
    { FIELD(struct debate, task) },
    { FIELD(struct debate, context) },
    { FIELD(struct debate, status) },
    { FIELD(struct debate, visibility) },
    { FIELD(struct debate, user_id) },
    { FIELD(struct debate, agents) },
    { FIELD(struct debate, result) },
    { FIELD(struct debate, consensus_mode) },
    { FIELD(struct debate, judge_selection) },
    { FIELD(struct debate, consensus_strength) },
    { FIELD(struct debate, winner) },
    { FIELD(struct debate, final_answer) },
    { FIELD(struct debate, error) },
    { FIELD(struct debate, receipt_id) },
    { FIELD(struct debate, rounds_requested) },
    { FIELD(struct debate, rounds_used) },
    { FIELD(struct debate, judge_seed) },
    { FIELD(struct debate, last_seq) },
    { FIELD(struct debate, consensus_reached) },
    { FIELD(struct debate, is_demo) },
    { FIELD(struct debate, confidence) },
    { FIELD(struct debate, created_at) },
    { FIELD(struct debate, started_at) },
    { FIELD(struct debate, completed_at) },
    { FIELD(struct debate, total_cost_usd) },
    { FIELD(struct debate, total_tokens) },
    { FIELD(struct debate, replay_of) },
    { FIELD(struct debate, parent_debate_id) },
    { FIELD(struct debate, branch_point) },
    { FIELD(struct debate, fork_step) },
    { FIELD(struct debate, cursor) },
    { 0 },
};

struct number {
    int64_t value;
};

static const struct field number_row[] = { { FIELD(struct number, value) }, { 0 } };

static bool is_stop_word(struct str word)
{
    static const char *const words[] = {
        "a",  "the", "an",   "is",   "are",    "was",       "were",   "be",    "been", "for",  "to",
        "of", "and", "or",   "in",   "on",     "at",        "by",     "with",  "that", "this", "it",
        "as", "how", "from", "what", "design", "implement", "create", "build", "make",
    };

    for (size_t i = 0; i < COUNT(words); i++)
        if (str_is(word, words[i]))
            return true;
    return false;
}

/* First four telling words and the day (domain debates, 1). Not unique: ids are. */
static struct str slug_of(struct arena *arena, struct str task)
{
    CLEANUP(buf_free) struct buf slug = { 0 };
    char day[UTC_TEXT];
    int taken = 0;

    for (size_t i = 0; i < task.len && taken < 4;) {
        char word[48];
        size_t len = 0;

        for (; i < task.len && task.at[i] != ' '; i++) {
            char c = task.at[i];

            if (c >= 'A' && c <= 'Z')
                c = (char)(c | 0x20);
            if (((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_') &&
                len < sizeof(word))
                word[len++] = c;
        }
        i++;
        if (len && !is_stop_word((struct str){ word, len })) {
            buf_printf(&slug, "%s%.*s", taken ? "-" : "", (int)len, word);
            taken++;
        }
    }
    utc_text(day, utc_now());
    return arena_printf(arena, STR_FMT "-%.10s", STR_ARG(taken ? buf_view(&slug) : STR("debate")),
                        day);
}

struct start {
    struct str debate_id, task, consensus;
    struct list agents; /* of names */
    int64_t total_rounds;
    bool demo;
    struct str replay_of, parent_debate_id, fork_step;
};

static const struct field start_fields[] = {
    { FIELD(struct start, debate_id) },
    { FIELD(struct start, task) },
    { FIELD_TEXTS(struct start, agents), .absent = ABSENT_EMPTY },
    { FIELD(struct start, total_rounds) },
    { FIELD(struct start, consensus) },
    { FIELD(struct start, demo) },
    { FIELD(struct start, replay_of) },
    { FIELD(struct start, parent_debate_id) },
    { FIELD(struct start, fork_step) },
    { 0 },
};

static struct str judge_selection_of(const struct debate_draft *draft)
{
    if (!debate_rule_judges(draft->consensus))
        return STR_NONE;
    return draft->judge_selection.len ? draft->judge_selection
                                      : str_from(debate_judge_selections[0]);
}

static int64_t judge_seed_of(const struct debate_draft *draft)
{
    uint64_t random;

    if (!debate_rule_judges(draft->consensus))
        return INT_NONE;
    if (draft->judge_seed)
        return draft->judge_seed;
    random_bytes(&random, sizeof(random));
    return (int64_t)(random >> 1 | 1);
}

static enum result insert_rows(struct db *db, const struct debate_draft *draft,
                               const struct start *start)
{
    CLEANUP(buf_free) struct buf names = { 0 };

    TRY(loop_insert(db, &(struct loop_draft){ .loop_id = start->debate_id,
                                              .kind = STR("debate"),
                                              .owner_id = draft->user_id,
                                              .visibility = STR("private"),
                                              .status = STR("queued") }));
    buf_char(&names, '[');
    for (size_t i = 0; i < start->agents.count; i++) {
        buf_json_comma(&names);
        buf_json_str(&names, ((const struct str *)start->agents.at)[i]);
    }
    buf_char(&names, ']');
    TRY(db_run(
        NULL, db,
        "INSERT INTO debates (org_id, debate_id, slug, task, context, agents, request,"
        " consensus_mode, judge_selection, judge_seed, rounds_requested, is_demo, replay_of,"
        " parent_debate_id, branch_point, fork_step, premise, created_at, updated_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
        " (SELECT now_us()), (SELECT now_us()))",
        BIND(start->debate_id, slug_of(db_arena(db), draft->task), draft->task, draft->context,
             buf_view(&names), draft->request, draft->consensus, judge_selection_of(draft),
             judge_seed_of(draft), draft->rounds, draft->is_demo, draft->replay_of,
             draft->parent_debate_id, draft->parent_debate_id.at ? draft->branch_point : INT_NONE,
             draft->fork_step, draft->premise)));
    for (size_t i = 0; i < draft->agents.count; i++) {
        const struct debate_agent *agent = (const struct debate_agent *)draft->agents.at + i;

        TRY(db_run(NULL, db,
                   "INSERT INTO debate_agents (org_id, debate_id, agent, position, provider,"
                   " role, model, persona) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                   BIND(start->debate_id, agent->agent, (int64_t)i, agent->provider, agent->role,
                        agent->model, agent->persona)));
    }
    return OK;
}

static const struct field payload_fields[] = { { FIELD(struct debate_draft, traceparent) }, { 0 } };

static struct json_text job_payload(struct arena *arena, const struct debate_draft *draft)
{
    struct buf *text = arena_buf(arena);

    fields_write(text, draft, payload_fields);
    return (struct json_text){ buf_view(text) };
}

enum result debate_create(struct str *debate_id, struct db *db, const struct debate_draft *draft,
                          int64_t max_waiting)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct arena *arena = db_arena(db);
    struct str *names = arena_array(arena, draft->agents.count, sizeof(*names));
    struct start start = { .debate_id =
                               draft->debate_id.at ? draft->debate_id : id_new(arena, "adhoc_"),
                           .task = draft->task,
                           .consensus = draft->consensus,
                           .agents = { names, draft->agents.count },
                           .total_rounds = draft->rounds,
                           .demo = draft->is_demo,
                           .replay_of = draft->replay_of,
                           .parent_debate_id = draft->parent_debate_id,
                           .fork_step = draft->fork_step };
    int64_t waiting;

    for (size_t i = 0; i < draft->agents.count; i++)
        names[i] = ((const struct debate_agent *)draft->agents.at)[i].agent;
    if (!db_in_tx(db))
        TRY(tx_begin(&tx, db));
    TRY(job_waiting(&waiting, db, JOB_DEBATE));
    if (waiting >= max_waiting)
        return ERR_CAPACITY;
    TRY(job_insert(db, JOB_DEBATE, start.debate_id, job_payload(arena, draft)));
    TRY(insert_rows(db, draft, &start));
    TRY(event_append(NULL, db,
                     &(struct event_draft){ .type = EVENT_debate_start,
                                            .loop_id = start.debate_id,
                                            .trace_id = draft->trace_id,
                                            .fields = start_fields,
                                            .data = &start }));
    if (tx.db)
        TRY(tx_commit(&tx));
    *debate_id = start.debate_id;
    return OK;
}

enum result debate_find(struct debate *out, struct db *db, struct str debate_id)
{
    return db_one(out, db, debate_row, ERR_DEBATE_NOT_FOUND,
                  "SELECT " DEBATE_COLUMNS
                  " WHERE d.org_id = $1 AND d.debate_id = $2 AND d.deleted_at IS NULL",
                  BIND(debate_id));
}

static struct json_text member_of(struct arena *arena, struct json_object *result, const char *name)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    struct json_object *member;

    if (!json_get(&member, result, name))
        return (struct json_text){ STR_NONE };
    json_write(&text, member);
    return (struct json_text){ arena_str(arena, buf_view(&text)) };
}

void debate_read_result(struct debate *debate, struct arena *arena)
{
    struct json_object *result;

    debate->method = debate->metadata.text = debate->agent_failures.text = STR_NONE;
    debate->absent_agents.text = debate->demo_agents.text = STR_NONE;
    if (!debate->result.text.at ||
        json_parse(&result, arena, debate->result.text, &json_limits_wide, NULL) != OK)
        return;
    (void)json_get_str(&debate->method, result, "method");
    debate->metadata = member_of(arena, result, "metadata");
    debate->agent_failures = member_of(arena, result, "agent_failures");
    debate->absent_agents = member_of(arena, result, "absent_agents");
    debate->demo_agents = member_of(arena, result, "demo_agents");
}

enum result debate_list(struct list *out, int64_t *total, struct db *db,
                        const struct debate_filter *filter)
{
    struct number count;
    struct str status = filter->status.at ? filter->status : STR("");
    struct str or_status = filter->or_status.at ? filter->or_status : status;

    TRY(db_one(&count, db, number_row, ERR_INTERNAL,
               "SELECT COUNT(*) FROM debates d JOIN loops l ON l.org_id = d.org_id"
               " AND l.loop_id = d.debate_id WHERE d.org_id = $1 AND d.deleted_at IS NULL"
               " AND ($2 = '' OR l.status IN ($2, $3)) AND d.created_at >= $4",
               BIND(status, or_status, filter->since.us)));
    TRY(db_all(out, db, debate_row, sizeof(struct debate),
               "SELECT " DEBATE_COLUMNS " WHERE d.org_id = $1 AND d.deleted_at IS NULL"
               " AND ($2 = '' OR l.status IN ($2, $3)) AND d.created_at >= $4"
               " ORDER BY d.created_at DESC, d.debate_id DESC LIMIT $5 OFFSET $6",
               BIND(status, or_status, filter->since.us, filter->limit, filter->offset)));
    *total = count.value;
    return OK;
}

struct end {
    struct str debate_id, status, reason;
};

static const struct field end_fields[] = {
    { FIELD(struct end, debate_id) },
    { FIELD(struct end, status) },
    { FIELD(struct end, reason) },
    { 0 },
};

/* A debate that waits, for its first runner or for the next, has none that could end it. */
static enum result end_waiting(struct db *db, struct str debate_id, struct str status,
                               struct str reason)
{
    const struct end end = { debate_id, STR("cancelled"), reason };

    TRY(loop_move(db, debate_id, status, STR("cancelled"), true));
    TRY(db_run(NULL, db,
               "UPDATE debates SET error = $3, completed_at = (SELECT now_us()),"
               " updated_at = (SELECT now_us()) WHERE org_id = $1 AND debate_id = $2",
               BIND(debate_id, reason)));
    return event_append(
        NULL, db,
        &(struct event_draft){
            .type = EVENT_debate_end, .loop_id = debate_id, .fields = end_fields, .data = &end });
}

enum result debate_cancel(struct db *db, struct str debate_id, struct str reason)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct debate debate;
    bool running;

    TRY(tx_begin(&tx, db));
    TRY(debate_find(&debate, db, debate_id));
    enum result result = job_cancel(&running, db, JOB_DEBATE, debate_id, reason);
    if (result == ERR_NOT_FOUND)
        return ERR_NOT_CANCELLABLE;
    TRY(result);
    if (!running)
        TRY(end_waiting(db, debate_id, debate.status, reason));
    return tx_commit(&tx);
}

static const struct field message_row[] = {
    { FIELD(struct debate_message, round) },   { FIELD(struct debate_message, role) },
    { FIELD(struct debate_message, content) }, { FIELD(struct debate_message, agent) },
    { FIELD(struct debate_message, target) },  { FIELD(struct debate_message, timestamp) },
    { FIELD(struct debate_message, demo) },    { 0 },
};

enum result debate_messages(struct list *out, int64_t *total, struct db *db, struct str debate_id,
                            int64_t limit, int64_t offset)
{
    struct number count;

    TRY(db_one(&count, db, number_row, ERR_INTERNAL,
               "SELECT COUNT(*) FROM debate_messages WHERE org_id = $1 AND debate_id = $2",
               BIND(debate_id)));
    TRY(db_all(out, db, message_row, sizeof(struct debate_message),
               "SELECT m.round, m.role, m.content, m.agent, m.target, m.created_at,"
               " CASE WHEN a.provider = 'demo' THEN 1 ELSE 0 END FROM debate_messages m"
               " LEFT JOIN debate_agents a ON a.org_id = m.org_id AND a.debate_id = m.debate_id"
               " AND a.agent = m.agent WHERE m.org_id = $1 AND m.debate_id = $2"
               " ORDER BY m.created_at, m.round, m.role, m.agent, m.target LIMIT $3 OFFSET $4",
               BIND(debate_id, limit, offset)));
    for (size_t i = 0; i < out->count; i++)
        ((struct debate_message *)out->at)[i].index = offset + (int64_t)i;
    *total = count.value;
    return OK;
}
