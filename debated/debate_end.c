/* debate_end.c - the last transaction of a debate.
 *
 * Verdict, rows, final state, receipt, debate_end and the end of the job commit together: there
 * is exactly one end. What was cancelled or failed has decided nothing and gets no receipt; nor
 * does a replay, whose decision was made, and signed, in its source. */
#include "debated/debate_end.h"
#include "common/base/clock.h"
#include "debated/absent.h"
#include "debated/debate_receipt.h"

struct end { /* the data of the last events, and the result object */
    struct str debate_id, task, status, method, answer, final_answer, synthesis, winner, error;
    struct str reason; /* of a cancel, as debate_cancel() tells it */
    struct str consensus_strength;
    struct json_text metadata, agent_failures;
    struct list participants, dissenting_views, demo_agents;
    struct list absent_agents; /* of struct absence */
    bool reached, consensus_reached;
    double confidence, duration, duration_seconds;
    int64_t rounds, rounds_used;
};

#define END(member)                                                                                \
    {                                                                                              \
        FIELD(struct end, member)                                                                  \
    }

/* clang-format off */
#define HOW_IT_WENT                                                                                \
    { FIELD(struct end, metadata), .kind = JSON_OBJECT, .absent = ABSENT_EMPTY },                  \
    { FIELD(struct end, agent_failures), .kind = JSON_OBJECT, .absent = ABSENT_EMPTY },            \
    { FIELD_LIST(struct end, absent_agents, struct absence, absence_fields),                       \
      .absent = ABSENT_EMPTY },                                                                    \
    { FIELD_TEXTS(struct end, demo_agents), .absent = ABSENT_EMPTY }
/* clang-format on */

static const struct field consensus_fields[] = {
    END(reached), END(confidence), END(answer), END(synthesis), END(status),
    END(method),  END(winner),     HOW_IT_WENT, { 0 },
};
static const struct field end_fields[] = {
    END(debate_id), END(duration), END(duration_seconds),
    END(rounds),    END(status),   END(consensus_reached),
    END(reason),    END(error),    { 0 },
};
static const struct field error_fields[] = { END(error), { 0 } };
static const struct field result_fields[] = {
    END(debate_id),
    END(task),
    END(status),
    END(final_answer),
    END(confidence),
    END(consensus_reached),
    END(winner),
    END(consensus_strength),
    END(method),
    HOW_IT_WENT,
    END(synthesis),
    END(rounds_used),
    { FIELD_TEXTS(struct end, participants), .absent = ABSENT_EMPTY },
    { FIELD_TEXTS(struct end, dissenting_views), .absent = ABSENT_EMPTY },
    END(duration_seconds),
    END(error),
    { 0 },
};

/* Agents whose words are simulated. */
static struct list demo_agents(const struct run *run)
{
    struct str *names = arena_array(run->scratch, run->count, sizeof(*names));
    size_t count = 0;

    for (size_t i = 0; i < run->count; i++)
        if (str_is(run->agents[i].provider, "demo"))
            names[count++] = run->names[i];
    return (struct list){ names, count };
}

static struct list dissent(const struct run *run)
{
    struct str *views = arena_array(run->scratch, run->count, sizeof(*views));
    size_t count = 0;

    for (size_t i = 0; i < run->count; i++)
        if (i != run->verdict.winner && run->proposals[i].text.at)
            views[count++] = arena_printf(run->scratch, "[" STR_FMT "]: " STR_FMT,
                                          STR_ARG(run->names[i]), STR_ARG(run->proposals[i].text));
    return (struct list){ views, count };
}

/* Whose proposal is the answer: the winner's; without a winner, the first there is. Where a judge
 * gave the answer, whose proposal the votes preferred, if they did. */
static size_t answerer(const struct run *run)
{
    size_t first = 0;

    if (run->verdict.winner < run->count || run->judgement.at)
        return run->verdict.winner;
    while (first < run->count && !run->proposals[first].text.at)
        first++;
    return first;
}

static struct str answer_of(const struct run *run)
{
    size_t agent = answerer(run);

    if (run->judgement.at)
        return run->judgement;
    return agent < run->count ? run->proposals[agent].text : STR_NONE;
}

/* How it was decided, which is not as asked for where no judge answered. */
static struct str method_of(const struct run *run)
{
    return debate_rule_judges(run->debate.consensus_mode) && !run->judgement.at
               ? STR("majority")
               : run->debate.consensus_mode;
}

static struct json_text metadata_of(const struct run *run)
{
    CLEANUP(buf_free) struct buf json = { 0 };

    buf_char(&json, '{');
    if (run->judgement.at) {
        buf_json_key(&json, STR("judge"));
        buf_json_str(&json, run->names[run->judge]);
    }
    buf_char(&json, '}');
    return (struct json_text){ arena_str(run->scratch, buf_view(&json)) };
}

static struct end end_of(const struct run *run, const struct ending *ending,
                         const struct absences *absences)
{
    const struct verdict *verdict = &run->verdict;
    int64_t started_us = run->debate.started_at.us;
    double seconds = started_us ? (double)(utc_now().us - started_us) / (double)US_PER_S : 0;
    bool completed = strcmp(ending->status, "completed") == 0;
    struct str answer = answer_of(run);

    return (struct end){
        .debate_id = run->debate.debate_id,
        .task = run->debate.task,
        .status = str_from(completed ? verdict->status : ending->status),
        .method = method_of(run),
        .metadata = metadata_of(run),
        .answer = answer,
        .final_answer = answer,
        .synthesis = run->synthesis,
        .winner = verdict->winner < run->count ? run->names[verdict->winner] : STR_NONE,
        .error = ending->error,
        .reason = strcmp(ending->status, "cancelled") == 0 ? ending->error : STR_NONE,
        .consensus_strength = str_from(verdict->strength),
        .participants = { run->names, run->count },
        .dissenting_views = dissent(run),
        .demo_agents = demo_agents(run),
        .absent_agents = absences->absent,
        .agent_failures = absences->failures,
        .reached = verdict->reached,
        .consensus_reached = verdict->reached,
        .confidence = verdict->confidence,
        .duration = seconds,
        .duration_seconds = seconds,
        .rounds = run->rounds_done,
        .rounds_used = run->rounds_done,
    };
}

static enum result tell(struct run *run, enum event_type type, const struct field *fields,
                        const struct end *end)
{
    return event_append(NULL, run->db,
                        &(struct event_draft){ .type = type,
                                               .loop_id = run->debate.debate_id,
                                               .round = run->rounds_done,
                                               .fields = fields,
                                               .data = end });
}

static enum result store_outcome(struct run *run, const struct end *end)
{
    CLEANUP(buf_free) struct buf result = { 0 };

    fields_write(&result, end, result_fields);
    return transcript_finished(run->db, run->debate.debate_id,
                               &(struct transcript_outcome){ .strength = end->consensus_strength,
                                                             .winner = end->winner,
                                                             .final_answer = end->final_answer,
                                                             .error = end->error,
                                                             .result = { buf_view(&result) },
                                                             .reached = end->reached,
                                                             .confidence = end->confidence,
                                                             .rounds_used = end->rounds_used });
}

struct issued { /* the data of receipt_generated */
    struct str debate_id, receipt_id, verdict, hash;
    double confidence;
    bool demo;
};

static const struct field issued_fields[] = {
    { FIELD(struct issued, debate_id) },
    { FIELD(struct issued, receipt_id) },
    { FIELD(struct issued, verdict) },
    { FIELD(struct issued, confidence) },
    { FIELD(struct issued, hash) },
    { FIELD(struct issued, demo) },
    { 0 },
};

static enum result issue_receipt(struct run *run, const struct absences *absences)
{
    struct receipt_row row;

    const struct decision decision = { method_of(run), answer_of(run), answerer(run),
                                       absences->absent };

    TRY(debate_receipt(&row, run, &decision));
    const struct issued issued = { .debate_id = row.debate_id,
                                   .receipt_id = row.receipt_id,
                                   .verdict = row.verdict,
                                   .hash = row.digest,
                                   .confidence = row.confidence,
                                   .demo = run->debate.is_demo };
    return event_append(NULL, run->db,
                        &(struct event_draft){ .type = EVENT_receipt_generated,
                                               .loop_id = row.debate_id,
                                               .round = run->rounds_done,
                                               .fields = issued_fields,
                                               .data = &issued });
}

static const char *job_status(const char *loop_status)
{
    if (strcmp(loop_status, "completed") == 0 || strcmp(loop_status, "cancelled") == 0)
        return loop_status;
    return strcmp(loop_status, "timeout") == 0 ? "completed" : "failed";
}

enum result debate_end_write(struct run *run, void *arg)
{
    const struct ending *ending = arg;
    struct absences absences;
    bool decided =
        strcmp(ending->status, "completed") == 0 || strcmp(ending->status, "timeout") == 0;

    TRY(absences_find(&absences, run));
    struct end end = end_of(run, ending, &absences);
    if (decided)
        TRY(tell(run, EVENT_consensus, consensus_fields, &end));
    if (strcmp(ending->status, "error") == 0)
        TRY(tell(run, EVENT_error, error_fields, &end));
    TRY(store_outcome(run, &end));
    TRY(loop_move(run->db, run->debate.debate_id, run->debate.status, str_from(ending->status),
                  true));
    end.status = str_from(ending->status); /* of the loop, no longer of the verdict */
    TRY(tell(run, EVENT_debate_end, end_fields, &end));
    if (decided && !run->debate.replay_of.at)
        TRY(issue_receipt(run, &absences));
    return job_end(run->db, run->job, str_from(job_status(ending->status)), ending->error);
}
