/* debates.c - debates in the form of version 2 (domain api_v2, 3.2).
 *
 * In force with ARAGORA_USE_FASTAPI alone; else, and for all that stands not here, a path of
 * version 2 is another name of version 1's. States are shown as they are stored. */
#include "common/base/settings.h"
#include "common/store/debate.h"
#include "common/store/transcript.h"
#include "handlers/handler.h"

extern const struct route debate_v2_routes[];

/* --- The list ---------------------------------------------------------------------------- */

struct summary {
    struct str id, task, status;
    struct utc created_at;
    int64_t round_count, agent_count;
    bool has_consensus;
};

static const struct field summary_out[] = {
    { FIELD(struct summary, id), .doc = "Id" },
    { FIELD(struct summary, task), .doc = "The question" },
    { FIELD(struct summary, status), .doc = "As stored" },
    { FIELD(struct summary, created_at), .doc = "When it was accepted" },
    { FIELD(struct summary, round_count), .doc = "Rounds run" },
    { FIELD(struct summary, agent_count), .doc = "Who takes part" },
    { FIELD(struct summary, has_consensus), .doc = "The rule was met" },
    { 0 },
};

static struct summary summary_of(struct request *r, const struct debate *debate)
{
    struct summary out = { .id = debate->debate_id,
                           .task = debate->task,
                           .status = debate->status,
                           .created_at = debate->created_at,
                           .round_count = debate->rounds_used,
                           .has_consensus = debate->consensus_reached };
    struct json_object *agents;

    if (json_parse(&agents, r->arena, debate->agents.text, &json_limits_wide, NULL) == OK)
        out.agent_count = (int64_t)json_object_array_length(agents);
    return out;
}

struct page_in {
    int64_t limit, offset;
    struct str status;
};

static const struct field list_in[] = {
    { FIELD(struct page_in, limit), .min = 1, .max = 100, .fallback = "50",
      .doc = "Debates to return" },
    { FIELD(struct page_in, offset), .max = 1000000, .fallback = "0",
      .doc = "Debates to pass over" },
    { FIELD(struct page_in, status), .max = 32, .doc = "Only of this stored state" },
    { 0 },
};

struct page_out {
    struct list debates;
    int64_t total, limit, offset;
};

static const struct field list_out[] = {
    { FIELD_LIST(struct page_out, debates, struct summary, summary_out), .doc = "Newest first" },
    { FIELD(struct page_out, total), .doc = "All that match" },
    { FIELD(struct page_out, limit), .doc = "As asked" },
    { FIELD(struct page_out, offset), .doc = "As asked" },
    { 0 },
};

static enum result debate_v2_list_get(struct request *r)
{
    const struct page_in *in = r->input;
    struct page_out out = { .limit = in->limit, .offset = in->offset };
    struct debate_filter filter = {
        .status = in->status, .or_status = in->status, .limit = in->limit, .offset = in->offset
    };
    struct list debates;

    TRY(debate_list(&debates, &out.total, r->db, &filter));
    struct summary *summaries = arena_array(r->arena, debates.count + 1, sizeof(*summaries));
    for (size_t i = 0; i < debates.count; i++)
        summaries[i] = summary_of(r, (const struct debate *)debates.at + i);
    out.debates = (struct list){ summaries, debates.count };
    return reply(r, &out);
}

/* --- One --------------------------------------------------------------------------------- */

static const struct field message_out[] = {
    { FIELD(struct debate_message, agent), .doc = "Who said it" },
    { FIELD(struct debate_message, role), .doc = "proposer, critic, synthesis" },
    { FIELD(struct debate_message, content), .doc = "What was said" },
    { FIELD(struct debate_message, target), .doc = "Whose proposal a critique is about" },
    { FIELD(struct debate_message, round), .doc = "0 is the proposals" },
    { FIELD(struct debate_message, timestamp), .doc = "When" },
    { 0 },
};

static const struct field vote_out[] = {
    { FIELD(struct transcript_ballot, agent), .doc = "Who voted" },
    { FIELD(struct transcript_ballot, choice), .absent = ABSENT_NULL, .doc = "null: abstained" },
    { FIELD(struct transcript_ballot, reasoning), .doc = "Why" },
    { 0 },
};

struct round {
    int64_t round;
    struct list messages, critiques, votes;
};

static const struct field round_out[] = {
    { FIELD(struct round, round), .doc = "0 is the proposals" },
    { FIELD_LIST(struct round, messages, struct debate_message, message_out),
      .absent = ABSENT_EMPTY, .doc = "In the order said" },
    { FIELD_LIST(struct round, critiques, struct debate_message, message_out),
      .absent = ABSENT_EMPTY, .doc = "Of others' proposals" },
    { FIELD_LIST(struct round, votes, struct transcript_ballot, vote_out), .absent = ABSENT_EMPTY,
      .doc = "Of the last round that had any" },
    { 0 },
};

struct protocol {
    int64_t rounds;
    struct str consensus;
};

static const struct field protocol_out[] = {
    { FIELD(struct protocol, rounds), .doc = "Rounds asked for" },
    { FIELD(struct protocol, consensus), .doc = "Rule by which votes decide" },
    { 0 },
};

struct outcome {
    bool reached;
    double confidence;
    struct str strength;
};

static const struct field outcome_out[] = {
    { FIELD(struct outcome, reached), .doc = "The rule was met" },
    { FIELD(struct outcome, confidence), .absent = ABSENT_NULL, .doc = "0 to 1" },
    { FIELD(struct outcome, strength), .absent = ABSENT_NULL,
      .doc = "unanimous, strong, medium or weak" },
    { 0 },
};

struct detail {
    struct str id, task, status, final_answer;
    struct protocol protocol;
    struct json_text agents;
    struct list rounds;
    struct outcome consensus;
    struct utc created_at;
    struct json_text metadata;
};

static const struct field detail_out[] = {
    { FIELD(struct detail, id), .doc = "Id" },
    { FIELD(struct detail, task), .doc = "The question" },
    { FIELD(struct detail, status), .doc = "As stored" },
    { FIELD_INSIDE(struct detail, protocol, protocol_out), .doc = "How it was set up" },
    { FIELD(struct detail, agents), .kind = JSON_ARRAY, .doc = "Names, in order" },
    { FIELD_LIST(struct detail, rounds, struct round, round_out), .absent = ABSENT_EMPTY,
      .doc = "What was said, by rounds" },
    { FIELD(struct detail, final_answer), .doc = "The decision" },
    { FIELD_INSIDE(struct detail, consensus, outcome_out), .doc = "How it was decided" },
    { FIELD(struct detail, created_at), .doc = "When it was accepted" },
    { FIELD(struct detail, metadata), .kind = JSON_OBJECT, .absent = ABSENT_EMPTY,
      .doc = "Nothing in this version" },
    { 0 },
};

/* The messages of one round that are critiques, or that are none. */
static struct list pick(struct request *r, const struct list *messages, int64_t round,
                        bool critiques)
{
    struct debate_message *out = arena_array(r->arena, messages->count + 1, sizeof(*out));
    size_t count = 0;

    for (size_t i = 0; i < messages->count; i++) {
        const struct debate_message *message = (const struct debate_message *)messages->at + i;

        if (message->round == round && (message->target.len > 0) == critiques)
            out[count++] = *message;
    }
    return (struct list){ out, count };
}

static enum result rounds_of(struct list *out, struct request *r, struct str id)
{
    struct list messages, votes;
    int64_t total, last = -1;

    TRY(debate_messages(&messages, &total, r->db, id, INT32_MAX, 0));
    TRY(transcript_ballots(&votes, r->db, id));
    for (size_t i = 0; i < messages.count; i++) {
        int64_t round = ((const struct debate_message *)messages.at)[i].round;

        last = round > last ? round : last;
    }
    struct round *rounds = arena_array(r->arena, (size_t)(last + 2), sizeof(*rounds));
    for (int64_t i = 0; i <= last; i++)
        rounds[i] = (struct round){ .round = i,
                                    .messages = pick(r, &messages, i, false),
                                    .critiques = pick(r, &messages, i, true),
                                    .votes = i == last ? votes : (struct list){ 0 } };
    *out = (struct list){ rounds, (size_t)(last + 1) };
    return OK;
}

struct id_in {
    struct str id;
};

static const struct field id_in[] = {
    { FIELD(struct id_in, id), .pattern = PATTERN_SLUG, .doc = "Id of the debate" },
    { 0 },
};

static enum result debate_v2_get(struct request *r)
{
    const struct id_in *in = r->input;
    struct debate debate;

    TRY(debate_find(&debate, r->db, in->id));
    struct detail out = {
        .id = debate.debate_id,
        .task = debate.task,
        .status = debate.status,
        .final_answer = debate.final_answer,
        .protocol = { debate.rounds_requested, debate.consensus_mode },
        .agents = debate.agents,
        .consensus = { debate.consensus_reached, debate.confidence, debate.consensus_strength },
        .created_at = debate.created_at,
    };
    TRY(rounds_of(&out.rounds, r, in->id));
    if (debate.is_demo)
        reply_header(r, "X-Aragora-Demo", STR("1"));
    return reply(r, &out);
}

/* --- Its messages ------------------------------------------------------------------------ */

struct messages_in {
    struct str id;
    int64_t limit, offset;
};

static const struct field messages_in[] = {
    { FIELD(struct messages_in, id), .pattern = PATTERN_SLUG, .doc = "Id of the debate" },
    { FIELD(struct messages_in, limit), .min = 1, .max = 500, .fallback = "100",
      .doc = "Messages to return" },
    { FIELD(struct messages_in, offset), .max = 1000000, .fallback = "0",
      .doc = "Messages to pass over" },
    { 0 },
};

struct messages_out {
    struct str debate_id;
    struct list messages;
    int64_t total;
    bool has_more;
};

static const struct field messages_out[] = {
    { FIELD(struct messages_out, debate_id), .doc = "Id of the debate" },
    { FIELD_LIST(struct messages_out, messages, struct debate_message, message_out),
      .absent = ABSENT_EMPTY, .doc = "In the order said" },
    { FIELD(struct messages_out, total), .doc = "All messages" },
    { FIELD(struct messages_out, has_more), .doc = "More follow" },
    { 0 },
};

static enum result debate_v2_messages_get(struct request *r)
{
    const struct messages_in *in = r->input;
    struct messages_out out = { .debate_id = in->id };
    struct debate debate;

    TRY(debate_find(&debate, r->db, in->id));
    TRY(debate_messages(&out.messages, &out.total, r->db, in->id, in->limit, in->offset));
    out.has_more = in->offset + (int64_t)out.messages.count < out.total;
    return reply(r, &out);
}

const struct route debate_v2_routes[] = {
    { ROUTE(GET, "/api/v2/debates", debate_v2_list_get), .permission = "debates.read",
      INPUT(struct page_in, list_in), .reply = list_out, .tag = "Debates",
      .doc = "List debates, newest first" },
    { ROUTE(GET, "/api/v2/debates/{id}", debate_v2_get), .permission = "debates.read",
      INPUT(struct id_in, id_in), .reply = detail_out, ERRORS(ERR_DEBATE_NOT_FOUND),
      .tag = "Debates", .doc = "One debate, with what was said by rounds" },
    { ROUTE(GET, "/api/v2/debates/{id}/messages", debate_v2_messages_get),
      .permission = "debates.read", INPUT(struct messages_in, messages_in), .reply = messages_out,
      ERRORS(ERR_DEBATE_NOT_FOUND), .tag = "Debates", .doc = "What was said, in order" },
    { 0 },
};
