/* engine.c - a debate, top to bottom.
 *
 * Proposals; rounds of critiques and revisions; votes; a judge, where one decides; the verdict; its
 * summary. Each step commits as it arrives and is not done again: a debate whose runner died goes
 * through the same functions, which find the steps that are done and take their texts.
 *
 * Elsewhere: how calls run side by side (phase.c), who judges (judge.c), what they leave behind
 * (record.c), the last transaction (debate_end.c), leases (runner.c). */
#include "debated/engine.h"

#include "common/base/clock.h"
#include "common/store/attempt.h"
#include "debated/convergence.h"
#include "debated/debate_end.h"
#include "debated/debate_trace.h"
#include "debated/figures.h"
#include "debated/judge.h"
#include "debated/parse.h"

#include <math.h>

static void add_part(struct buf *out, struct str part)
{
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.at[i];
        if (c <= ' ' || c >= 127 || c == '/' || c == '%')
            buf_printf(out, "%%%02X", c);
        else
            buf_char(out, (char)c);
    }
}

/* round/phase/agent/target */
static struct str step_name(struct arena *arena, int64_t round, const char *phase, struct str agent,
                            struct str target)
{
    CLEANUP(buf_free) struct buf name = { 0 };

    buf_printf(&name, "%lld/%s", (long long)round, phase);
    if (agent.at) {
        buf_char(&name, '/');
        add_part(&name, agent);
    }
    if (target.at) {
        buf_char(&name, '/');
        add_part(&name, target);
    }
    return arena_str(arena, buf_view(&name));
}

bool agent_is_out(const struct run *run, size_t agent)
{
    return run->failures[agent] >= FAILURES_MAX;
}

enum result calls_run(struct run *run, struct call *calls, size_t count)
{
    int64_t begun_us = monotonic_us();
    enum result result = phase_run(run, calls, count);

    if (result == OK && count)
        figures_phase(calls[0].prompt.kind, monotonic_us() - begun_us);
    for (size_t i = 0; i < count; i++)
        if (calls[i].done)
            run->failures[calls[i].agent] =
                calls[i].text.at ? 0 : run->failures[calls[i].agent] + 1;
    return result;
}

struct call *calls_new(struct run *run, size_t count)
{
    return arena_array(run->arena, count, sizeof(struct call));
}

void call_set(struct run *run, struct call *call, enum call_kind kind, int64_t round, size_t agent,
              size_t target)
{
    bool targeted = target != NO_TARGET;
    struct said *all = arena_array(run->arena, run->count, sizeof(*all));
    size_t count = 0;

    for (size_t i = 0; i < run->count; i++)
        if (run->proposals[i].text.at)
            all[count++] = run->proposals[i];
    *call = (struct call){ .agent = agent, .target = target };
    call->prompt =
        (struct prompt){ .kind = kind,
                         .round = round,
                         .seat = agent,
                         .agent = run->names[agent],
                         .task = run->debate.task,
                         .context = run->debate.context,
                         .persona = run->agents[agent].persona,
                         .role = kind == CALL_JUDGE ? STR("judge") : run->agents[agent].role,
                         .own = run->proposals[agent].text,
                         .proposals = { all, count } };
    if (targeted)
        call->prompt.target = run->proposals[target];
    call->step = step_name(run->arena, round, phase_name(kind), run->names[agent],
                           targeted && kind == CALL_CRITIQUE ? run->names[target] : STR_NONE);
    call->task_id = arena_printf(run->arena, STR_FMT ":" STR_FMT, STR_ARG(run->names[agent]),
                                 STR_ARG(call->step));
}

static enum result write_begin(struct run *run, void *arg)
{
    (void)arg;
    TRY(loop_move(run->db, run->debate.debate_id, STR("queued"), STR("running"), false));
    return transcript_started(run->db, run->debate.debate_id);
}

static enum result begin(struct run *run)
{
    int64_t spent_us = 0;

    if (str_is(run->debate.status, "queued")) {
        TRY(run_write(run, write_begin, NULL));
        run->debate.status = STR("running");
        run->debate.started_at = utc_now();
    } else {
        spent_us = utc_now().us - run->debate.started_at.us;
    }
    run->deadline_us = monotonic_us() + run->options.limit_us - spent_us;
    return OK;
}

/* *answered: agents that gave a proposal. */
static enum result propose(size_t *answered, struct run *run)
{
    struct call *calls = calls_new(run, run->count);

    *answered = 0;
    for (size_t i = 0; i < run->count; i++)
        call_set(run, &calls[i], CALL_PROPOSAL, 0, i, NO_TARGET);
    enum result result = calls_run(run, calls, run->count);
    for (size_t i = 0; i < run->count; i++) {
        run->proposals[i].text = calls[i].text;
        run->absent[i] = !calls[i].text.at;
        *answered += calls[i].text.at != NULL;
    }
    TRY(result);
    return *answered ? OK : ERR_NO_PROPOSAL;
}

struct round {
    int64_t round;
    struct str step;
};

static const struct field round_fields[] = {
    { FIELD(struct round, round) },
    { FIELD_AS("round_number", struct round, round) },
    { 0 },
};

static enum result write_round(struct run *run, void *arg)
{
    const struct round *round = arg;

    TRY(event_append(NULL, run->db,
                     &(struct event_draft){ .type = EVENT_round_start,
                                            .loop_id = run->debate.debate_id,
                                            .round = round->round,
                                            .fields = round_fields,
                                            .data = round }));
    return step_done(run->db, run->job, round->step, STR("done"), STR_NONE,
                     (struct json_text){ STR_NONE });
}

static enum result announce_round(struct run *run, int64_t number)
{
    struct round round = { number, step_name(run->arena, number, "start", STR_NONE, STR_NONE) };
    struct step step;

    arena_reset(run->scratch);
    enum result result = step_find(&step, run->db, run->job, round.step);
    return result == ERR_NOT_FOUND ? run_write(run, write_round, &round) : result;
}

/* Every agent on every other's proposal. */
static enum result criticise(struct call **calls, size_t *count, struct run *run, int64_t round)
{
    struct call *made = calls_new(run, run->count * run->count);
    size_t n = 0;

    for (size_t agent = 0; agent < run->count; agent++)
        for (size_t target = 0; target < run->count; target++)
            if (agent != target && !agent_is_out(run, agent) && run->proposals[target].text.at)
                call_set(run, &made[n++], CALL_CRITIQUE, round, agent, target);
    TRY(calls_run(run, made, n));
    *calls = made;
    *count = n;
    return OK;
}

static struct list critiques_of(struct run *run, size_t target, const struct call *critiques,
                                size_t count)
{
    struct said *said = arena_array(run->arena, run->count, sizeof(*said));
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        if (critiques[i].target == target && critiques[i].text.at)
            said[n++] = (struct said){ run->names[critiques[i].agent], critiques[i].text };
    return (struct list){ said, n };
}

static enum result revise(struct run *run, int64_t round, const struct call *critiques,
                          size_t critique_count)
{
    struct call *calls = calls_new(run, run->count);
    size_t n = 0;

    for (size_t i = 0; i < run->count; i++) {
        if (!run->proposals[i].text.at || agent_is_out(run, i))
            continue;
        call_set(run, &calls[n], CALL_REVISION, round, i, NO_TARGET);
        calls[n++].prompt.critiques = critiques_of(run, i, critiques, critique_count);
    }
    enum result result = calls_run(run, calls, n);
    for (size_t i = 0; i < n; i++)
        if (calls[i].text.at) /* who failed to revise keeps the earlier proposal */
            run->proposals[calls[i].agent].text = calls[i].text;
    return result;
}

/* --- Convergence (debates.md 9.1) -------------------------------------------------------- */

#define CONVERGED 0.85
#define DIVERGING 0.40

struct check {
    struct str step, status;
    struct json_text per_agent;
    double similarity;
    int64_t round;
    bool is_convergence_check;
};

static const struct field check_fields[] = {
    { FIELD(struct check, status) },
    { FIELD(struct check, similarity) },
    { FIELD(struct check, per_agent), .kind = JSON_OBJECT },
    { FIELD(struct check, is_convergence_check) },
    { 0 },
};

static enum result write_check(struct run *run, void *arg)
{
    const struct check *check = arg;

    TRY(event_append(NULL, run->db,
                     &(struct event_draft){ .type = EVENT_consensus,
                                            .loop_id = run->debate.debate_id,
                                            .round = check->round,
                                            .fields = check_fields,
                                            .data = check }));
    return step_done(run->db, run->job, check->step, STR("done"), STR_NONE,
                     (struct json_text){ STR_NONE });
}

static struct json_text per_agent(struct run *run, const struct convergence *found)
{
    CLEANUP(buf_free) struct buf json = { 0 };

    buf_char(&json, '{');
    for (size_t i = 0; i < run->count; i++) {
        buf_json_key(&json, run->names[i]);
        buf_json_double(&json, found->similarity[i]);
    }
    buf_char(&json, '}');
    return (struct json_text){ arena_str(run->arena, buf_view(&json)) };
}

/* Told once; a resumed debate computes the same again from the same texts. */
static enum result tell_check(struct run *run, struct check *check)
{
    struct step step;

    arena_reset(run->scratch);
    enum result result = step_find(&step, run->db, run->job, check->step);
    return result == ERR_NOT_FOUND ? run_write(run, write_check, check) : result;
}

/* *converged: nobody says anything new, and few rounds are left. before: the proposals as they
 * stood when the round began. */
static enum result check_convergence(bool *converged, struct run *run, int64_t round,
                                     const struct str *before)
{
    struct str *now = arena_array(run->arena, run->count, sizeof(*now));

    for (size_t i = 0; i < run->count; i++)
        now[i] = run->proposals[i].text;
    struct convergence found = convergence_of(run->arena, before, now, run->count);
    bool same = found.least >= CONVERGED;
    struct check check = {
        .step = step_name(run->arena, round, "convergence", STR_NONE, STR_NONE),
        .status = same                      ? STR("converged")
                  : found.least < DIVERGING ? STR("diverging")
                                            : STR("refining"),
        .per_agent = per_agent(run, &found),
        .similarity = found.mean,
        .round = round,
        .is_convergence_check = true,
    };
    TRY(tell_check(run, &check));
    *converged = same && round >= run->debate.rounds_requested - 1;
    return OK;
}

/* *over: the rounds that are left are skipped. */
static enum result run_round(bool *over, struct run *run, int64_t round)
{
    struct str *before = arena_array(run->arena, run->count, sizeof(*before));
    struct call *critiques;
    size_t count;

    for (size_t i = 0; i < run->count; i++)
        before[i] = run->proposals[i].text;
    TRY(announce_round(run, round));
    TRY(criticise(&critiques, &count, run, round));
    TRY(revise(run, round, critiques, count));
    run->critiques = critiques;
    run->critique_count = count;
    run->rounds_done = round;
    return round < 2 ? OK : check_convergence(over, run, round, before);
}

static struct ballot ballot_of(const struct run *run, const struct call *call)
{
    struct vote vote;
    size_t choice;

    parse_vote(&vote, call->text);
    bool valid = call->text.at &&
                 parse_choice(&choice, &vote, call->text, run->names, run->count) &&
                 run->proposals[choice].text.at;
    return (struct ballot){ valid ? choice : ABSTAINED, vote.confidence };
}

/* *out: what the votes alone decide. */
static enum result vote(struct verdict *out, struct run *run)
{
    struct ballot *ballots = arena_array(run->arena, run->count, sizeof(*ballots));
    struct call *calls = calls_new(run, run->count);
    size_t n = 0;

    for (size_t i = 0; i < run->count; i++) {
        ballots[i].choice = ABSTAINED;
        if (!agent_is_out(run, i))
            call_set(run, &calls[n++], CALL_VOTE, run->rounds_done, i, NO_TARGET);
    }
    TRY(calls_run(run, calls, n));
    for (size_t i = 0; i < run->count; i++)
        run->absent[i] = true;
    for (size_t i = 0; i < n; i++) {
        ballots[calls[i].agent] = ballot_of(run, &calls[i]);
        run->absent[calls[i].agent] = !calls[i].text.at;
    }
    consensus_decide(out, run->debate.consensus_mode, ballots, run->names, run->count);
    return OK;
}

static enum result decide(struct run *run)
{
    struct verdict verdict;

    TRY(vote(&verdict, run));
    if (debate_rule_judges(run->debate.consensus_mode)) {
        run->verdict.winner = verdict.winner; /* for a debate that ends before its judge has */
        TRY(judge_ask(run));
        if (run->judgement.at)
            consensus_judged(&verdict);
    }
    run->verdict = verdict;
    return OK;
}

/* By the agent of that role, else by the first; none that is out. */
static enum result synthesise(struct run *run)
{
    struct call *call = calls_new(run, 1);
    size_t speaker = run->count;

    for (size_t i = run->count; i-- > 0;)
        if (!agent_is_out(run, i) &&
            (speaker == run->count || str_is(run->agents[i].role, "synthesizer") ||
             !str_is(run->agents[speaker].role, "synthesizer")))
            speaker = i;
    if ((run->verdict.winner >= run->count && !run->judgement.at) || speaker == run->count)
        return OK;
    call_set(run, call, CALL_SYNTHESIS, run->rounds_done, speaker,
             run->judgement.at ? NO_TARGET : run->verdict.winner);
    if (run->judgement.at) {
        call->prompt.judged = true;
        call->prompt.target = (struct said){ run->names[run->judge], run->judgement };
    }
    TRY(calls_run(run, call, 1));
    run->synthesis = call->text;
    return OK;
}

/* Nothing is in flight once a debate has ended. */
static enum result write_end(struct run *run, void *arg)
{
    TRY(attempt_lose(run->db, run->job, STR_NONE));
    TRY(attempt_total(run->db, run->job));
    return debate_end_write(run, arg);
}

static enum result end(struct run *run, struct ending ending)
{
    bool cancelled = strcmp(ending.status, "cancelled") == 0;

    TRY(cancelled ? run_write_cancelled(run, write_end, &ending)
                  : run_write(run, write_end, &ending));
    figures_debate(run, ending.status);
    return OK;
}

static enum result debate_course(struct run *run)
{
    bool over = false;
    size_t proposals;

    TRY(begin(run));
    TRY(propose(&proposals, run));
    if (proposals < 2) { /* nobody is there to debate with */
        run->verdict.status = "insufficient_participation";
        return end(run, (struct ending){ .status = "completed" });
    }
    for (int64_t round = 1; round <= run->debate.rounds_requested && !over; round++)
        TRY(run_round(&over, run, round));
    TRY(decide(run));
    TRY(synthesise(run));
    return end(run, (struct ending){ .status = "completed" });
}

/* Debates among demo agents alone make no connection, and a replay has nothing to make one with. */
static enum result open_http(struct run *run)
{
    if (run->debate.replay_of.at)
        return OK;
    for (size_t i = 0; i < run->count; i++)
        if (!str_is(run->agents[i].provider, "demo"))
            return http_client_new(&run->http, &run->options.agents.http);
    return OK;
}

static enum result run_open(struct run *run)
{
    struct list agents;

    db_use(run->db, run->arena, run->job->org_id);
    TRY(debate_find(&run->debate, run->db, run->job->subject_id));
    TRY(transcript_agents(&agents, run->db, run->debate.debate_id));
    db_use(run->db, run->scratch, run->job->org_id);
    if (run->debate.replay_of.at)
        run->options.agents.demo_pause_us = 0;
    run->agents = agents.at;
    run->count = agents.count;
    run->names = arena_array(run->arena, run->count, sizeof(*run->names));
    run->proposals = arena_array(run->arena, run->count, sizeof(*run->proposals));
    run->failures = arena_array(run->arena, run->count, sizeof(*run->failures));
    run->absent = arena_array(run->arena, run->count, sizeof(*run->absent));
    for (size_t i = 0; i < run->count; i++)
        run->proposals[i].agent = run->names[i] = run->agents[i].agent;
    run->verdict = (struct verdict){ .winner = ABSTAINED, .status = "failed", .strength = "none" };
    return OK;
}

static struct str no_proposal(struct run *run)
{
    if (!run->problem.at) /* told to the runner before */
        return STR("No agent gave a proposal");
    return arena_printf(run->arena, "No agent gave a proposal. " STR_FMT, STR_ARG(run->problem));
}

enum result engine_run(struct db *db, const struct job *job, const struct engine_options *options)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(arena_cleanup) struct arena *scratch = arena_new();
    struct run run = {
        .db = db, .job = job, .options = *options, .arena = arena, .scratch = scratch
    };

    job_span_begin(&run);
    enum result result = run_open(&run);
    if (result == OK)
        result = open_http(&run);
    if (result == OK)
        result = debate_course(&run);
    if (result == ERR_NO_PROPOSAL)
        result = end(&run, (struct ending){ "error", no_proposal(&run) });
    if (result == ERR_TIMEOUT)
        result = end(&run, (struct ending){ "timeout", STR("The time limit was reached") });
    if (result == ERR_CANCELLED)
        result = end(&run, (struct ending){ "cancelled", run.reason });
    job_span_end(&run, result);
    http_client_free(run.http);
    db_use(db, NULL, STR_NONE); /* both arenas end here */
    return result;
}

enum result engine_fail(struct db *db, const struct job *job, struct str reason)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(arena_cleanup) struct arena *scratch = arena_new();
    struct run run = { .db = db, .job = job, .arena = arena, .scratch = scratch };
    enum result result = run_open(&run);

    if (result == OK)
        result = run_write_cancelled(&run, write_end, &(struct ending){ "error", reason });
    if (result == OK)
        figures_debate(&run, "error");
    db_use(db, NULL, STR_NONE);
    return result;
}
