#include "debated/figures.h"

#include "common/base/clock.h"
#include "common/metrics/series.h"

static void add_known(enum metric metric, struct labels labels, int64_t n)
{
    if (n != INT_NONE && n > 0)
        series_add(metric, labels, n);
}

void figures_call(const struct run *run, struct call *call)
{
    const struct agent_plan *plan = agent_plan(call->running);
    struct str provider = run->agents[call->agent].provider;
    struct agent_report report;

    if (run->debate.replay_of.at) /* nobody is asked */
        return;
    agent_report(&report, call->running);
    struct str model = plan ? plan->model : STR_NONE;
    struct str status = call->text.at ? STR("success") : STR("error");
    struct str error = call->text.at ? STR("none") : str_from(agent_fault_name(report.fault));
    series_add(METRIC_PROVIDER_CALLS, LABELS(provider, status, error), 1);
    series_add(METRIC_PROVIDER_LATENCY, LABELS(provider), monotonic_us() - call->begun_us);
    if (!plan)
        return;
    series_add(METRIC_PROVIDER_MODELS, LABELS(provider, model, status), 1);
    add_known(METRIC_PROVIDER_TOKENS, LABELS(provider, STR("input")), report.tokens_in);
    add_known(METRIC_PROVIDER_TOKENS, LABELS(provider, STR("output")), report.tokens_out);
    add_known(METRIC_COST, LABELS(provider, model), report.cost_micro_usd);
}

void figures_phase(enum call_kind kind, int64_t took_us)
{
    series_add(METRIC_DEBATE_PHASE, LABELS(str_from(phase_name(kind))), took_us);
}

void figures_debate(const struct run *run, const char *status)
{
    bool completed = strcmp(status, "completed") == 0;
    struct str outcome = completed ? run->verdict.reached ? STR("consensus") : STR("no_consensus")
                                   : str_from(status);

    series_add(METRIC_DEBATES, LABELS(outcome), 1);
    series_add(METRIC_DEBATE_ROUNDS, LABELS(outcome), run->rounds_done);
    if (run->debate.started_at.us)
        series_add(METRIC_DEBATE_DURATION, LABELS(outcome),
                   utc_now().us - run->debate.started_at.us);
    if (completed && run->verdict.reached)
        series_add(METRIC_CONSENSUS, LABELS(STR("general"), run->debate.consensus_mode), 1);
}
