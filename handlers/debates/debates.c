/* debates.c - start, read, list and cancel debates (domain debates, 2).
 *
 * A handler checks what the field tables cannot and asks the store; the run itself is a job. */
#include "handlers/debates/agents.h"
#include "handlers/debates/status.h"

#include "common/base/settings.h"
#include "common/store/debate.h"

/* --- Create ------------------------------------------------------------------------------ */

struct debate_create_in {
    struct str task, question, context, consensus, judge_selection, mode, debate_format;
    struct json_text agents, metadata;
    int64_t rounds;
};

static const char *const formats[] = { "full", "light", NULL };

/* Length limits of task and question are the handler's: either name is enough. */
static const struct field create_in[] = {
    { FIELD(struct debate_create_in, task), .trim = true, .min = 1, .max = 10000,
      .doc = "Question to debate; question is another name for it" },
    { FIELD(struct debate_create_in, question), .trim = true, .min = 1, .max = 10000,
      .doc = "The same as task" },
    { FIELD(struct debate_create_in, agents), .kind = JSON_ARRAY_OR_TEXT, .max = 10,
      .doc = "Agents as provider, provider:model or provider|model|persona|role, or as objects of "
             "these; a list or separated by commas" },
    { FIELD(struct debate_create_in, rounds), .min = 1, .max = 20,
      .doc = "Rounds of critique and revision; cut to the server's limit" },
    { FIELD(struct debate_create_in, consensus), .choices = debate_rules,
      .doc = "Rule by which votes or a judge decide; else ARAGORA_DEFAULT_CONSENSUS" },
    { FIELD(struct debate_create_in, judge_selection), .choices = debate_judge_selections,
      .doc = "How a judge is chosen among the agents; else random" },
    { FIELD(struct debate_create_in, context), .max = 100000, .doc = "What agents should know" },
    { FIELD(struct debate_create_in, debate_format), .choices = formats, .doc = "Preset" },
    { FIELD(struct debate_create_in, mode), .max = 64, .doc = "Debate mode" },
    { FIELD(struct debate_create_in, metadata), .kind = JSON_OBJECT, .doc = "Kept as it is" },
    { 0 },
};

struct debate_created {
    bool success, demo;
    struct str debate_id, id, status, task;
    struct list agents; /* of struct str */
    int64_t rounds;
};

static const struct field created_out[] = {
    { FIELD(struct debate_created, success), .doc = "true" },
    { FIELD(struct debate_created, debate_id), .doc = "Id of the debate and of its stream" },
    { FIELD(struct debate_created, id), .doc = "The same" },
    { FIELD(struct debate_created, status), .doc = "created" },
    { FIELD(struct debate_created, task), .doc = "As accepted" },
    { FIELD_TEXTS(struct debate_created, agents), .doc = "Who takes part" },
    { FIELD(struct debate_created, rounds), .doc = "As cut to the server's limit" },
    { FIELD(struct debate_created, demo), .doc = "Only demo agents answer" },
    { 0 },
};

/* Results of demo agents are marked as such only where no other agent takes part. */
static bool all_demo(const struct list *agents)
{
    for (size_t i = 0; i < agents->count; i++)
        if (!str_is(((const struct debate_agent *)agents->at)[i].provider, "demo"))
            return false;
    return true;
}

/* What it answers is stored with the debate; a job runs it. */
static enum result debate_start(struct request *r)
{
    const struct debate_create_in *in = r->input;
    struct debate_draft draft = { .task = in->task.len ? in->task : in->question,
                                  .context = in->context,
                                  .user_id = r->who.user_id,
                                  .trace_id = r->trace_id,
                                  .traceparent = traceparent(r),
                                  .rounds = in->rounds,
                                  .consensus = in->consensus.len
                                                   ? in->consensus
                                                   : setting_str(SETTING_DEFAULT_CONSENSUS),
                                  .judge_selection = in->judge_selection,
                                  .request = { r->body } };
    struct debate_created out = { .success = true, .status = STR("created") };
    CLEANUP(tx_end) struct tx tx = { 0 };

    if (!draft.task.len)
        return refuse(r, ERR_MISSING_FIELD, .field = STR("task"),
                      .message = STR("Missing required field: task"));
    if (draft.rounds == INT_NONE)
        draft.rounds = setting_int(SETTING_DEFAULT_ROUNDS);
    if (draft.rounds > setting_int(SETTING_MAX_ROUNDS))
        draft.rounds = setting_int(SETTING_MAX_ROUNDS);
    TRY(agents_choose(&draft.agents, r, in->agents));
    draft.is_demo = out.demo = all_demo(&draft.agents);
    TRY(tx_begin(&tx, r->db));
    TRY(debate_create(&out.debate_id, r->db, &draft, setting_int(SETTING_MAX_QUEUED)));

    struct str *names = arena_array(r->arena, draft.agents.count, sizeof(*names));
    for (size_t i = 0; i < draft.agents.count; i++)
        names[i] = ((const struct debate_agent *)draft.agents.at)[i].agent;
    out.id = out.debate_id;
    out.task = draft.task;
    out.rounds = draft.rounds;
    out.agents = (struct list){ names, draft.agents.count };
    if (out.demo)
        reply_header(r, "X-Aragora-Demo", STR("1"));
    return reply_commit(r, &tx, reply(r, &out));
}

/* --- Read -------------------------------------------------------------------------------- */

struct debate_id_in {
    struct str id;
};

static const struct field id_in[] = {
    { FIELD(struct debate_id_in, id), .pattern = PATTERN_SLUG, .doc = "Id of the debate" },
    { 0 },
};

static const struct field debate_out[] = {
    { FIELD(struct debate, debate_id), .doc = "Id" },
    { FIELD_AS("id", struct debate, debate_id), .doc = "The same" },
    { FIELD(struct debate, slug), .doc = "Telling words of the question and the day" },
    { FIELD(struct debate, task), .doc = "The question" },
    { FIELD(struct debate, context), .doc = "What agents were told besides" },
    { FIELD(struct debate, status), .doc = "created, running, completed, failed, cancelled" },
    { FIELD(struct debate, agents), .kind = JSON_ARRAY, .doc = "Names, in order" },
    { FIELD_AS("participants", struct debate, agents), .kind = JSON_ARRAY, .doc = "The same" },
    { FIELD(struct debate, consensus_mode), .doc = "Rule that was asked for" },
    { FIELD(struct debate, method), .doc = "Rule that decided, which without a judge is majority" },
    { FIELD(struct debate, consensus_reached), .doc = "The rule was met" },
    { FIELD(struct debate, consensus_strength), .doc = "unanimous, strong, medium or weak" },
    { FIELD(struct debate, confidence), .absent = ABSENT_EMPTY, .doc = "0 to 1" },
    { FIELD_AS("agreement", struct debate, confidence), .absent = ABSENT_EMPTY, .doc = "The same" },
    { FIELD(struct debate, winner), .doc = "Agent whose proposal won" },
    { FIELD(struct debate, final_answer), .doc = "The decision" },
    { FIELD_AS("conclusion", struct debate, final_answer), .doc = "The same" },
    { FIELD_AS("rounds", struct debate, rounds_requested), .doc = "Rounds asked for" },
    { FIELD(struct debate, rounds_used), .doc = "Rounds run" },
    { FIELD(struct debate, error), .doc = "Why it failed" },
    { FIELD(struct debate, receipt_id), .doc = "Its signed record" },
    { FIELD(struct debate, replay_of), .doc = "Debate whose stored replies answered this one" },
    { FIELD(struct debate, parent_debate_id), .doc = "Debate that this one is a fork of" },
    { FIELD(struct debate, branch_point), .doc = "Messages that the fork took over" },
    { FIELD(struct debate, fork_step), .doc = "First step of the fork that ran live" },
    { FIELD(struct debate, metadata), .kind = JSON_OBJECT, .doc = "judge: the agent that decided" },
    { FIELD(struct debate, agent_failures), .kind = JSON_OBJECT,
      .doc = "What went wrong, by agent: phase, error_type, message, provider, timestamp" },
    { FIELD(struct debate, absent_agents), .kind = JSON_ARRAY,
      .doc = "Who was not there when it was decided, with what went wrong last" },
    { FIELD(struct debate, demo_agents), .kind = JSON_ARRAY, .doc = "Agents that were simulated" },
    { FIELD(struct debate, total_cost_usd),
      .doc = "Of the calls of providers, as far as their prices are known" },
    { FIELD(struct debate, total_tokens), .doc = "Of these calls, in and out" },
    { FIELD_AS("demo", struct debate, is_demo), .doc = "Only demo agents answered" },
    { FIELD_AS("cursor_seq", struct debate, last_seq), .doc = "Last event that this reflects" },
    { FIELD(struct debate, cursor), .doc = "The same for the stream: epoch and seq" },
    { FIELD(struct debate, created_at), .doc = "When it was accepted" },
    { FIELD(struct debate, started_at), .doc = "When it began to run" },
    { FIELD(struct debate, completed_at), .doc = "When it ended" },
    { 0 },
};

/* The words of the wire (domain debates, 1; sdk_models 6.15). */
static const struct {
    const char *stored, *wire;
} status_words[] = {
    { "queued", "created" },      { "starting", "created" },   { "initializing", "running" },
    { "active", "running" },      { "error", "failed" },       { "timeout", "failed" },
    { "concluded", "completed" }, { "archived", "completed" },
};

struct str debate_status_word(struct str stored)
{
    for (size_t i = 0; i < COUNT(status_words); i++)
        if (str_is(stored, status_words[i].stored))
            return str_from(status_words[i].wire);
    return stored;
}

static enum result debate_get(struct request *r)
{
    const struct debate_id_in *in = r->input;
    struct debate debate;

    TRY(debate_find(&debate, r->db, in->id));
    debate_read_result(&debate, r->arena);
    debate.status = debate_status_word(debate.status);
    if (debate.is_demo)
        reply_header(r, "X-Aragora-Demo", STR("1"));
    return reply(r, &debate);
}

struct debate_list_in {
    int64_t limit, offset;
    struct str status;
    struct utc since;
};

static const char *const wire_states[] = { "running",   "completed", "failed", "paused",
                                           "cancelled", "created",   NULL };
static const struct field list_in[] = {
    { FIELD(struct debate_list_in, limit), .min = 1, .max = 100, .clamp = true, .fallback = "20",
      .doc = "Debates to return" },
    { FIELD(struct debate_list_in, offset), .max = 1000000, .clamp = true, .fallback = "0",
      .doc = "Debates to pass over" },
    { FIELD(struct debate_list_in, status), .choices = wire_states, .doc = "Only of this state" },
    { FIELD(struct debate_list_in, since), .doc = "Only those created since" },
    { 0 },
};

struct debate_list_out {
    struct list debates;
    int64_t count, total, limit, offset;
    bool has_more;
};

static const struct field list_out[] = {
    { FIELD_LIST(struct debate_list_out, debates, struct debate, debate_out),
      .doc = "Newest first" },
    { FIELD(struct debate_list_out, count), .doc = "Returned" },
    { FIELD(struct debate_list_out, total), .doc = "All that match" },
    { FIELD(struct debate_list_out, limit), .doc = "As applied" },
    { FIELD(struct debate_list_out, offset), .doc = "As applied" },
    { FIELD(struct debate_list_out, has_more), .doc = "More follow" },
    { 0 },
};

/* The stored words of a wire word: "created" and "failed" stand for two each. */
static void from_wire(struct debate_filter *filter, struct str wire)
{
    filter->status = filter->or_status = wire;
    if (str_is(wire, "created")) {
        filter->status = STR("queued");
        filter->or_status = STR("starting");
    } else if (str_is(wire, "failed")) {
        filter->status = STR("error");
        filter->or_status = STR("timeout");
    }
}

static enum result debate_list_get(struct request *r)
{
    const struct debate_list_in *in = r->input;
    struct debate_list_out out = { .limit = in->limit, .offset = in->offset };
    struct debate_filter filter = { .since = in->since, .limit = in->limit, .offset = in->offset };

    from_wire(&filter, in->status);
    TRY(debate_list(&out.debates, &out.total, r->db, &filter));
    for (size_t i = 0; i < out.debates.count; i++) {
        struct debate *debate = (struct debate *)out.debates.at + i;

        debate->status = debate_status_word(debate->status);
    }
    out.count = (int64_t)out.debates.count;
    out.has_more = out.offset + out.count < out.total;
    return reply(r, &out);
}

struct messages_in {
    struct str id;
    int64_t limit, offset;
};

static const struct field messages_in[] = {
    { FIELD(struct messages_in, id), .pattern = PATTERN_SLUG, .doc = "Id of the debate" },
    { FIELD(struct messages_in, limit), .min = 1, .max = 200, .clamp = true, .fallback = "50",
      .doc = "Messages to return" },
    { FIELD(struct messages_in, offset), .max = 1000000, .clamp = true, .fallback = "0",
      .doc = "Messages to pass over" },
    { 0 },
};

static const struct field message_out[] = {
    { FIELD(struct debate_message, index), .doc = "Place in the debate, from 0" },
    { FIELD(struct debate_message, role), .doc = "proposer, critic, judge, synthesizer" },
    { FIELD(struct debate_message, content), .doc = "What was said" },
    { FIELD(struct debate_message, agent), .doc = "Who said it" },
    { FIELD(struct debate_message, target), .doc = "Whose proposal a critique is about" },
    { FIELD(struct debate_message, round), .doc = "0 is the proposals" },
    { FIELD(struct debate_message, timestamp), .doc = "When" },
    { FIELD(struct debate_message, demo), .doc = "Who said it was simulated" },
    { 0 },
};

struct messages_out {
    struct str debate_id;
    struct list messages;
    int64_t total, offset, limit;
    bool has_more;
};

static const struct field messages_out[] = {
    { FIELD(struct messages_out, debate_id), .doc = "Id of the debate" },
    { FIELD_LIST(struct messages_out, messages, struct debate_message, message_out),
      .doc = "In the order said" },
    { FIELD(struct messages_out, total), .doc = "All messages" },
    { FIELD(struct messages_out, offset), .doc = "As applied" },
    { FIELD(struct messages_out, limit), .doc = "As applied" },
    { FIELD(struct messages_out, has_more), .doc = "More follow" },
    { 0 },
};

static enum result debate_messages_get(struct request *r)
{
    const struct messages_in *in = r->input;
    struct messages_out out = { .debate_id = in->id, .limit = in->limit, .offset = in->offset };
    struct debate debate;

    TRY(debate_find(&debate, r->db, in->id));
    TRY(debate_messages(&out.messages, &out.total, r->db, in->id, in->limit, in->offset));
    out.has_more = out.offset + (int64_t)out.messages.count < out.total;
    return reply(r, &out);
}

/* --- Events ------------------------------------------------------------------------------ */

struct events_in {
    struct str id;
    int64_t since, limit;
};

static const struct field events_in[] = {
    { FIELD(struct events_in, id), .pattern = PATTERN_SLUG, .doc = "Id of the debate" },
    { FIELD(struct events_in, since), .max = INT64_MAX, .clamp = true, .fallback = "0",
      .doc = "First seq to return; the one already seen is returned again" },
    { FIELD(struct events_in, limit), .min = 1, .max = 500, .clamp = true, .fallback = "100",
      .doc = "Events to return, not counting the one equal to since" },
    { 0 },
};

struct events_out {
    struct json_text events;
    int64_t next_seq;
};

static const struct field events_out[] = {
    { FIELD(struct events_out, events), .kind = JSON_ARRAY, .absent = ABSENT_EMPTY,
      .doc = "As the stream sends them" },
    { FIELD(struct events_out, next_seq), .doc = "since of the next call" },
    { 0 },
};

/* Inclusive, so that a caller who sends the last seq it saw and one who sends next_seq both
 * lose nothing (streaming.md 8.5). */
static enum result debate_events_get(struct request *r)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    const struct events_in *in = r->input;
    struct events_out out = { .next_seq = in->since };
    struct debate debate;
    struct list events;

    TRY(debate_find(&debate, r->db, in->id));
    TRY(event_read(&events, r->db, in->id, in->since, in->limit + (in->since > 0)));
    buf_char(&text, '[');
    for (size_t i = 0; i < events.count; i++) {
        const struct event *event = (const struct event *)events.at + i;

        buf_json_comma(&text);
        event_encode(&text, event);
        out.next_seq = event->seq + 1;
    }
    buf_char(&text, ']');
    out.events.text = arena_str(r->arena, buf_view(&text));
    return reply(r, &out);
}

/* --- Cancel ------------------------------------------------------------------------------ */

struct cancelled {
    bool success;
    struct str debate_id, status, message;
};

static const struct field cancelled_out[] = {
    { FIELD(struct cancelled, success), .doc = "true" },
    { FIELD(struct cancelled, debate_id), .doc = "Id of the debate" },
    { FIELD(struct cancelled, status), .doc = "cancelled" },
    { FIELD(struct cancelled, message), .doc = "For people" },
    { 0 },
};

static enum result debate_cancel_post(struct request *r)
{
    const struct debate_id_in *in = r->input;
    struct cancelled out = { true, in->id, STR("cancelled"), STR("Debate cancelled") };

    TRY(debate_cancel(r->db, in->id, STR("user_requested")));
    return reply(r, &out);
}

const struct route debate_routes[] = {
    { ROUTE(POST, "/api/v1/debates", debate_start), .stability = STABLE,
      .permission = "debates.create", .limit = LIMIT_CREATE, .body_bytes = 500000, .creates = true,
      INPUT(struct debate_create_in, create_in), .reply = created_out,
      ERRORS(ERR_PROVIDER_NOT_CONFIGURED, ERR_CAPACITY), .tag = "Debates",
      .doc = "Start a debate" },
    { ROUTE(GET, "/api/v1/debates", debate_list_get), .etag = true, .stability = STABLE,
      .permission = "debates.read", INPUT(struct debate_list_in, list_in), .reply = list_out,
      .tag = "Debates", .doc = "List debates, newest first" },
    { ROUTE(GET, "/api/v1/debates/{id}", debate_get), .etag = true, .permission = "debates.read",
      INPUT(struct debate_id_in, id_in), .reply = debate_out, ERRORS(ERR_DEBATE_NOT_FOUND),
      .tag = "Debates", .doc = "One debate" },
    { ROUTE(GET, "/api/v1/debates/{id}/messages", debate_messages_get), .etag = true,
      .stability = STABLE, .permission = "debates.read", INPUT(struct messages_in, messages_in),
      .reply = messages_out, ERRORS(ERR_DEBATE_NOT_FOUND), .tag = "Debates",
      .doc = "What was said, in order" },
    { ROUTE(GET, "/api/v1/debates/{id}/events", debate_events_get), .etag = true,
      .permission = "debates.read", INPUT(struct events_in, events_in), .reply = events_out,
      ERRORS(ERR_DEBATE_NOT_FOUND), .tag = "Debates",
      .doc = "The journal, for clients without a socket" },
    { ROUTE(POST, "/api/v1/debates/{id}/cancel", debate_cancel_post), .stability = STABLE,
      .permission = "debates.stop", .body_optional = true, INPUT(struct debate_id_in, id_in),
      .reply = cancelled_out, ERRORS(ERR_DEBATE_NOT_FOUND, ERR_NOT_CANCELLABLE), .tag = "Debates",
      .doc = "Stop a debate; what it has is kept" },
    { 0 },
};
