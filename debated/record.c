/* record.c - what a call leaves behind: rows, events, and the step that says so.
 *
 * All of it commits together, so that a step is either told and done or not begun. */
#include "common/base/clock.h"
#include "common/base/id.h"
#include "common/store/attempt.h"
#include "debated/debate_run.h"
#include "debated/parse.h"

#include <math.h>

struct told { /* the data of every event of a call; absent members are left out */
    struct str debate_id, agent, role, content, attempt_id;
    struct str full_response, full_content;            /* token_end */
    struct str critic, target, target_agent, critique; /* critique */
    struct str vote, choice, reasoning;                /* vote */
    struct str phase, error_type, message, provider;   /* agent_error */
    bool recoverable, demo;                            /* demo: a simulated agent says it */
    struct list issues, suggestions;
    double severity, confidence, confidence_score; /* confidence_score: of a judge */
    int64_t attempt;                               /* which try at this text, from 1 */
    struct utc timestamp;
};

#define TOLD(member)                                                                               \
    {                                                                                              \
        FIELD(struct told, member)                                                                 \
    }

static const struct field token_fields[] = {
    TOLD(debate_id),
    TOLD(agent),
    TOLD(attempt),
    TOLD(attempt_id),
    TOLD(full_response),
    TOLD(full_content),
    { FIELD(struct told, timestamp), .form = FORM_EPOCH },
    { 0 },
};
static const struct field message_fields[] = {
    TOLD(content), TOLD(role), TOLD(confidence_score), TOLD(demo), { 0 },
};
static const struct field critique_fields[] = {
    TOLD(target),
    TOLD(target_agent),
    TOLD(critic),
    { FIELD_TEXTS(struct told, issues), .absent = ABSENT_EMPTY },
    { FIELD_TEXTS(struct told, suggestions), .absent = ABSENT_EMPTY },
    TOLD(severity),
    TOLD(content),
    TOLD(critique),
    TOLD(demo),
    { 0 },
};
static const struct field vote_fields[] = {
    { FIELD(struct told, vote), .absent = ABSENT_NULL },
    { FIELD(struct told, choice), .absent = ABSENT_NULL },
    TOLD(confidence),
    TOLD(reasoning),
    TOLD(demo),
    { 0 },
};
static const struct field synthesis_fields[] = {
    TOLD(content), TOLD(confidence), TOLD(agent), TOLD(demo), { 0 },
};
static const struct field error_fields[] = {
    TOLD(error_type), TOLD(message), TOLD(phase), TOLD(provider), TOLD(recoverable), { 0 },
};
static const struct field failure_fields[] = {
    TOLD(phase),
    TOLD(error_type),
    TOLD(message),
    TOLD(provider),
    { FIELD(struct told, timestamp), .form = FORM_EPOCH },
    { 0 },
};

const char *phase_name(enum call_kind kind)
{
    static const char *const names[] = { "proposal", "critique", "revision",
                                         "vote",     "judge",    "synthesis" };

    return names[kind];
}

static const char *role_of(enum call_kind kind)
{
    static const char *const roles[] = { "proposer", "critic", "proposer",
                                         "voter",    "judge",  "synthesizer" };

    return roles[kind];
}

static struct told told_of(const struct run *run, const struct call *call)
{
    return (struct told){ .debate_id = run->debate.debate_id,
                          .agent = run->names[call->agent],
                          .attempt_id = call->attempt_id,
                          .role = str_from(role_of(call->prompt.kind)),
                          .content = call->text,
                          .demo = str_is(run->agents[call->agent].provider, "demo"),
                          .attempt = call->attempts,
                          .severity = NAN,
                          .confidence = NAN,
                          .confidence_score = NAN,
                          .timestamp = utc_now() };
}

static enum result tell(struct run *run, const struct call *call, enum event_type type,
                        const struct field *fields, const struct told *told)
{
    bool in_text = fields == token_fields;

    return event_append(
        NULL, run->db,
        &(struct event_draft){ .type = type,
                               .in_text = in_text,
                               .agent_seq = type == EVENT_token_end ? call->chunks + 1 : 0,
                               .attempt = told->attempt,
                               .loop_id = run->debate.debate_id,
                               .agent = run->names[call->agent],
                               .task_id = call->task_id,
                               .round = call->prompt.round,
                               .fields = fields,
                               .data = told });
}

static const struct field delta_fields[] = {
    TOLD(debate_id),
    TOLD(agent),
    TOLD(attempt),
    TOLD(attempt_id),
    { FIELD_AS("token", struct told, content) },
    { FIELD_AS("delta", struct told, content) },
    { 0 },
};

void record_delta(struct run *run, const struct call *call, struct str text)
{
    CLEANUP(buf_free) struct buf data = { 0 };
    const struct told told = { .debate_id = run->debate.debate_id,
                               .agent = run->names[call->agent],
                               .attempt_id = call->attempt_id,
                               .content = text,
                               .attempt = call->attempts,
                               .severity = NAN,
                               .confidence = NAN,
                               .confidence_score = NAN };

    fields_write(&data, &told, delta_fields);
    event_tell(run->job->org_id, &(struct event){ .loop_id = told.debate_id,
                                                  .type = STR("token_delta"),
                                                  .agent = told.agent,
                                                  .task_id = call->task_id,
                                                  .agent_seq = call->chunks,
                                                  .attempt = call->attempts,
                                                  .round = call->prompt.round,
                                                  .at = utc_now(),
                                                  .data = { buf_view(&data) } });
}

/* --- Attempts ---------------------------------------------------------------------------- */

/* An attempt that an earlier runner left in flight is lost. */
static enum result begin_attempt(struct run *run, struct call *call)
{
    const struct agent_plan *plan = agent_plan(call->running);

    if (!plan)
        return call->cited_id.at ? attempt_cite(run->db, run->job, call->step, call->cited_id) : OK;
    if (call->attempts > 0)
        TRY(attempt_lose(run->db, run->job, call->step));
    call->attempt_id = id_new(run->arena, "att_");
    return attempt_begin(run->db, run->job,
                         &(struct attempt_draft){ .attempt_id = call->attempt_id,
                                                  .step = call->step,
                                                  .provider = plan->provider,
                                                  .model = plan->model,
                                                  .request_digest = plan->request_digest,
                                                  .tokens_in = plan->tokens_in,
                                                  .tokens_out = plan->tokens_out,
                                                  .worst_micro_usd = plan->worst_micro_usd });
}

/* outcome NULL: as the report says. */
static enum result end_attempt(struct run *run, struct call *call, const char *outcome)
{
    struct agent_report report;

    if (!call->attempt_id.at)
        return OK;
    agent_report(&report, call->running);
    if (!outcome)
        outcome = report.fault == AGENT_CONTENT_POLICY ? "refused" : "failed";
    return attempt_end(run->db,
                       &(struct attempt_end){ .outcome = outcome,
                                              .attempt_id = call->attempt_id,
                                              .model_served = report.model_served,
                                              .request_digest = report.request_digest,
                                              .error = report.message,
                                              .tokens_in = report.tokens_in,
                                              .tokens_out = report.tokens_out,
                                              .cost_micro_usd = report.cost_micro_usd,
                                              .estimated = report.estimated,
                                              .first_byte_at = report.first_byte_at,
                                              .reply = report.reply },
                       run->options.agents.vault);
}

static enum result tell_discard(struct run *run, const struct call *call)
{
    const struct told told = told_of(run, call);

    return tell(run, call, EVENT_token_discard, token_fields, &told);
}

/* --- Calls ------------------------------------------------------------------------------- */

enum result record_start(struct run *run, struct call *call)
{
    call->attempt_id = STR_NONE;
    /* The runner before was lost in this call: what clients heard of it does not count. */
    if (call->attempts > 0 && !call->discarded)
        TRY(tell_discard(run, call));
    TRY(step_start(run->db, run->job, call->step, run->names[call->agent], call->task_id));
    TRY(begin_attempt(run, call));
    struct told told = told_of(run, call);
    told.attempt = call->attempts + 1; /* counted once this is stored */
    return tell(run, call, EVENT_token_start, token_fields, &told);
}

enum result record_retry(struct run *run, struct call *call)
{
    TRY(end_attempt(run, call, NULL));
    TRY(tell_discard(run, call));
    return step_done(run->db, run->job, call->step, STR("retry"), STR_NONE,
                     (struct json_text){ STR_NONE });
}

static enum result add_message(struct run *run, const struct call *call, struct str text,
                               bool partial)
{
    struct transcript_message message = { .debate_id = run->debate.debate_id,
                                          .role = str_from(role_of(call->prompt.kind)),
                                          .agent = run->names[call->agent],
                                          .content = text,
                                          .round = call->prompt.round,
                                          .partial = partial };

    if (call->target != NO_TARGET && call->prompt.kind == CALL_CRITIQUE)
        message.target = run->names[call->target];
    return transcript_message_add(run->db, &message);
}

static struct json_text points_json(struct arena *arena, const struct points *points)
{
    CLEANUP(buf_free) struct buf json = { 0 };

    buf_char(&json, '[');
    for (size_t i = 0; i < points->count; i++) {
        buf_json_comma(&json);
        buf_json_str(&json, points->at[i]);
    }
    buf_char(&json, ']');
    return (struct json_text){ arena_str(arena, buf_view(&json)) };
}

static enum result record_critique(struct run *run, const struct call *call)
{
    struct told told = told_of(run, call);
    struct critique critique;

    parse_critique(&critique, call->text);
    told.critic = told.agent;
    told.target = told.target_agent = run->names[call->target];
    told.issues = (struct list){ critique.issues.at, critique.issues.count };
    told.suggestions = (struct list){ critique.suggestions.at, critique.suggestions.count };
    told.severity = critique.severity;
    told.critique = call->text;
    TRY(add_message(run, call, call->text, false));
    TRY(transcript_critique_add(run->db,
                                &(struct transcript_critique){
                                    .debate_id = run->debate.debate_id,
                                    .agent = told.agent,
                                    .target = told.target,
                                    .reasoning = critique.reasoning,
                                    .issues = points_json(run->scratch, &critique.issues),
                                    .suggestions = points_json(run->scratch, &critique.suggestions),
                                    .round = call->prompt.round,
                                    .severity = critique.severity }));
    return tell(run, call, EVENT_critique, critique_fields, &told);
}

static enum result record_vote(struct run *run, const struct call *call)
{
    struct told told = told_of(run, call);
    struct vote vote;
    size_t choice;

    parse_vote(&vote, call->text);
    if (parse_choice(&choice, &vote, call->text, run->names, run->count))
        told.vote = told.choice = run->names[choice];
    told.confidence = vote.confidence;
    told.reasoning = vote.reasoning;
    TRY(transcript_vote_add(run->db, &(struct transcript_vote){ .debate_id = run->debate.debate_id,
                                                                .agent = told.agent,
                                                                .choice = told.choice,
                                                                .reasoning = told.reasoning,
                                                                .round = call->prompt.round,
                                                                .confidence = told.confidence }));
    return tell(run, call, EVENT_vote, vote_fields, &told);
}

static enum result record_message(struct run *run, const struct call *call)
{
    struct told told = told_of(run, call);

    if (call->prompt.kind == CALL_JUDGE)
        told.confidence_score = JUDGED;
    TRY(add_message(run, call, call->text, false));
    TRY(tell(run, call, EVENT_agent_message, message_fields, &told));
    if (call->prompt.kind != CALL_SYNTHESIS)
        return OK;
    told.confidence = run->verdict.confidence;
    return tell(run, call, EVENT_synthesis, synthesis_fields, &told);
}

enum result record_done(struct run *run, struct call *call)
{
    struct told told = told_of(run, call);

    told.full_response = told.full_content = call->text;
    TRY(end_attempt(run, call, "used"));
    TRY(tell(run, call, EVENT_token_end, token_fields, &told));
    switch (call->prompt.kind) {
    case CALL_CRITIQUE:
        TRY(record_critique(run, call));
        break;
    case CALL_VOTE:
        TRY(record_vote(run, call));
        break;
    case CALL_PROPOSAL:
    case CALL_REVISION:
    case CALL_JUDGE:
    case CALL_SYNTHESIS:
        TRY(record_message(run, call));
        break;
    }
    return step_done(run->db, run->job, call->step, STR("done"), call->text,
                     (struct json_text){ STR_NONE });
}

static enum result note_failure(struct run *run, const struct told *told)
{
    CLEANUP(buf_free) struct buf failure = { 0 };

    fields_write(&failure, told, failure_fields);
    return transcript_agent_failed(run->db, run->debate.debate_id, told->agent,
                                   (struct json_text){ buf_view(&failure) });
}

enum result record_failed(struct run *run, struct call *call)
{
    struct told told = told_of(run, call);
    struct agent_report report;

    agent_report(&report, call->running);
    told.error_type = str_from(agent_fault_name(report.fault));
    told.message = report.message.at ? report.message : STR("The agent gave no answer");
    told.phase = str_from(phase_name(call->prompt.kind));
    told.provider = run->agents[call->agent].provider;
    told.recoverable = true; /* the debate goes on */
    run->problem = arena_str(run->arena, told.message);
    TRY(end_attempt(run, call, NULL));
    TRY(tell_discard(run, call));
    TRY(tell(run, call, EVENT_agent_error, error_fields, &told));
    TRY(note_failure(run, &told));
    return step_done(run->db, run->job, call->step, STR("failed"), STR_NONE,
                     (struct json_text){ STR_NONE });
}

enum result record_partial(struct run *run, struct call *call)
{
    struct str text = buf_view(&call->heard);

    TRY(end_attempt(run, call, "discarded"));
    if (!text.len)
        return OK;
    if (call->prompt.kind != CALL_VOTE)
        TRY(add_message(run, call, text, true));
    return step_done(run->db, run->job, call->step, STR("partial"), text,
                     (struct json_text){ STR_NONE });
}
