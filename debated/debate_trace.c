#include "debated/debate_trace.h"

#include "common/base/error.h"
#include "common/base/json.h"
#include "common/base/provider.h"
#include "common/trace/trace.h"

/* *parent: what made the job. false: it does not say. */
static bool read_payload(struct trace_context *parent, const struct run *run)
{
    struct json_object *payload;
    struct str text;

    return json_parse(&payload, run->arena, run->job->payload.text, &json_limits_wide, NULL) ==
               OK &&
           json_get_str(&text, payload, "traceparent") && traceparent_read(parent, text);
}

void job_span_begin(struct run *run)
{
    struct trace_context parent;

    span_begin_remote(&run->span, SPAN_CONSUMER, read_payload(&parent, run) ? &parent : NULL);
    span_name(&run->span, "job", run->job->kind);
    span_str(&run->span, "debate.id", run->job->subject_id);
    span_str(&run->span, "aragora.job.id", run->job->job_id);
    span_int(&run->span, "aragora.job.losses", run->job->losses);
    if (run->span.recorded)
        span_enter(&run->span);
}

void job_span_end(struct run *run, enum result result)
{
    if (result != OK)
        span_fail(&run->span, str_from(error_row(result)->name));
    span_end(&run->span);
}

void phase_span_begin(struct span *span, const struct run *run, const struct call *calls,
                      size_t count)
{
    const struct trace_context *parent = count ? &run->span.context : NULL;
    struct str name = count ? str_from(phase_name(calls[0].prompt.kind)) : STR_NONE;

    span_begin(span, SPAN_INTERNAL, parent, "phase", name);
    if (!span->recorded)
        return;
    span_str(span, "debate.id", run->job->subject_id);
    span_str(span, "debate.phase", name);
    span_int(span, "debate.round_number", calls[0].prompt.round);
    span_enter(span);
}

void phase_span_end(struct span *span, enum result result)
{
    if (result != OK)
        span_fail(span, str_from(error_row(result)->name));
    span_end(span);
}

/* --- Calls (OpenTelemetry's conventions for generative AI) -------------------------------- */

/* The names that the conventions give; others go by ours. */
static struct str system_of(struct str provider)
{
    static const struct {
        enum setting key;
        struct str name;
    } systems[] = {
        { SETTING_OPENAI_API_KEY, STR("openai") },
        { SETTING_MISTRAL_API_KEY, STR("mistral_ai") },
        { SETTING_XAI_API_KEY, STR("xai") },
    };
    const struct provider *found = provider_find(provider);

    for (size_t i = 0; found && i < COUNT(systems); i++)
        if (found->key == systems[i].key)
            return systems[i].name;
    return found ? str_from(found->name) : provider;
}

static bool has_ids(const struct trace_context *context)
{
    static const unsigned char none[SPAN_ID_BYTES];

    return memcmp(context->span, none, sizeof(none)) != 0;
}

void call_span_begin(struct str *traceparent, struct run *run, struct call *call)
{
    const struct transcript_agent *agent = &run->agents[call->agent];
    const struct trace_context *current = span_current();
    bool is_here = str_is(agent->provider, "demo") || run->debate.replay_of.at;
    char text[TRACEPARENT_TEXT];

    *traceparent = STR_NONE;
    span_begin(&call->span, is_here ? SPAN_INTERNAL : SPAN_CLIENT,
               current ? current : &run->span.context, "chat", agent->model);
    if (!is_here && trace_is_told() && has_ids(&call->span.context)) {
        traceparent_write(text, &call->span.context);
        *traceparent = arena_str(run->arena, (struct str){ text, sizeof(text) });
    }
    span_str(&call->span, "debate.id", run->debate.debate_id);
    span_str(&call->span, "debate.phase", str_from(phase_name(call->prompt.kind)));
    span_int(&call->span, "debate.round_number", call->prompt.round);
    span_str(&call->span, "agent.name", run->names[call->agent]);
    span_int(&call->span, "aragora.attempt", call->attempts + 1);
    span_str(&call->span, "gen_ai.operation.name", STR("chat"));
    span_str(&call->span, "gen_ai.system", system_of(agent->provider));
    span_str(&call->span, "gen_ai.provider.name", system_of(agent->provider));
}

/* A provider's own words stay out: they may repeat the prompt. */
static void describe_end(struct span *span, struct call *call)
{
    const struct agent_plan *plan = agent_plan(call->running);
    struct agent_report report;
    struct str fault;

    if (!plan)
        return;
    agent_report(&report, call->running);
    span_name(span, "chat", plan->model);
    span_str(span, "gen_ai.request.model", plan->model);
    span_int(span, "gen_ai.request.max_tokens", plan->tokens_out);
    span_str(span, "gen_ai.response.model", report.model_served);
    span_int(span, "gen_ai.usage.input_tokens", report.tokens_in);
    span_int(span, "gen_ai.usage.output_tokens", report.tokens_out);
    if (report.fault == AGENT_NO_FAULT)
        return;
    fault = str_from(agent_fault_name(report.fault));
    span_str(span, "error.type", fault);
    span_fail(span, fault);
}

void call_span_end(struct call *call)
{
    struct span *span = &call->span;

    if (!span->recorded)
        return;
    if (call->running)
        describe_end(span, call);
    if (!span->failed && !call->text.at) { /* cancelled, out of time, or asked to stop */
        span_str(span, "error.type", STR("cancelled"));
        span_fail(span, STR("cancelled"));
    }
    span_end(span);
}
