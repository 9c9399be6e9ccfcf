/* fork.c - what a replay or a fork takes over, in one transaction.
 *
 * The order of steps is that of their names, so that it holds whatever the clocks did: round, then
 * phase. A fork copies the steps before its own; what hangs on a step (message, critique, vote,
 * events) is copied because its step was, so that nothing is there twice or without its step.
 * Events of running text are not copied: nothing of it ran here. */
#include "common/store/fork.h"

#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/base/json.h"
#include "common/store/debate.h"
#include "common/store/transcript.h"

#include <stdlib.h>

#define LOOP_ID_MAX 64

/* --- Steps ------------------------------------------------------------------------------- */

/* The step of a row of debate_messages. Names of agents stand in both as they are (PATTERN_AGENT).
 */
#define STEP_OF_MESSAGE                                                                            \
    "CAST(m.round AS TEXT) || CASE m.role WHEN 'critic' THEN '/critique/'"                         \
    " WHEN 'synthesizer' THEN '/synthesis/' WHEN 'proposer' THEN"                                  \
    " CASE WHEN m.round = 0 THEN '/proposal/' ELSE '/revision/' END"                               \
    " ELSE '/' || m.role || '/' END || m.agent"                                                    \
    " || CASE WHEN m.target = '' THEN '' ELSE '/' || m.target END"

/* Phases of a round, in order. */
static const char *const phases[] = { "start",       "proposal", "critique", "revision",
                                      "convergence", "vote",     "judge",    "synthesis" };

#define PLACE_VOTE  5
#define PLACE_JUDGE 6

static int64_t phase_place(struct str phase)
{
    size_t i = 0;

    while (i < COUNT(phases) && !str_is(phase, phases[i]))
        i++;
    return (int64_t)i;
}

static void step_place(struct debate_step *step)
{
    struct str rest = step->step, round, phase;

    if (!str_split(&round, &rest, '/') || !str_int(&step->round, round, 0, INT64_MAX) ||
        !str_split(&phase, &rest, '/'))
        phase = STR_NONE;
    step->place = phase_place(phase);
    if (step->place == PLACE_JUDGE) /* counted as the round behind the last, which it ends */
        step->round--;
}

/* Below 0: a's phase comes before b's; 0: it is the same. */
static int phase_compare(const struct debate_step *a, const struct debate_step *b)
{
    if (a->round != b->round)
        return a->round < b->round ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

static int step_compare(const void *left, const void *right)
{
    const struct debate_step *a = left, *b = right;
    int phase = phase_compare(a, b);

    if (phase)
        return phase;
    if (a->at.us != b->at.us)
        return a->at.us < b->at.us ? -1 : 1;
    int order =
        memcmp(a->step.at, b->step.at, a->step.len < b->step.len ? a->step.len : b->step.len);
    return order ? order : (a->step.len > b->step.len) - (a->step.len < b->step.len);
}

static const struct field step_row[] = {
    { FIELD(struct debate_step, step) },
    { FIELD(struct debate_step, status) },
    { FIELD(struct debate_step, agent) },
    { FIELD(struct debate_step, task_id) },
    { FIELD(struct debate_step, text) },
    { FIELD(struct debate_step, attempt_id) },
    { FIELD(struct debate_step, at) },
    { FIELD(struct debate_step, asked) },
    { FIELD(struct debate_step, kept) },
    { FIELD(struct debate_step, message) },
    { 0 },
};

enum result debate_steps(struct list *out, struct db *db, struct str debate_id)
{
    struct list steps;

    TRY(db_all(&steps, db, step_row, sizeof(struct debate_step),
               "SELECT s.step, s.status, s.agent, s.task_id, s.text, s.attempt_id, s.updated_at,"
               " CASE WHEN s.attempt_id IS NULL AND COALESCE(g.provider, 'demo') = 'demo' THEN 0"
               "  ELSE 1 END,"
               " CASE WHEN a.reply IS NULL THEN 0 ELSE 1 END,"
               " CASE WHEN m.role IS NULL THEN 0 ELSE 1 END"
               " FROM job_steps s JOIN jobs j ON j.org_id = s.org_id AND j.job_id = s.job_id"
               " LEFT JOIN debate_agents g ON g.org_id = s.org_id AND g.debate_id = j.subject_id"
               "  AND g.agent = s.agent"
               " LEFT JOIN provider_attempts a ON a.org_id = s.org_id"
               "  AND a.attempt_id = s.attempt_id"
               " LEFT JOIN debate_messages m ON m.org_id = s.org_id AND m.debate_id = j.subject_id"
               "  AND m.agent = s.agent AND m.is_partial = 0 AND s.step = " STEP_OF_MESSAGE
               " WHERE s.org_id = $1 AND j.kind = 'debate' AND j.subject_id = $2",
               BIND(debate_id)));
    struct debate_step *all = steps.at;
    for (size_t i = 0; i < steps.count; i++)
        step_place(&all[i]);
    if (steps.count)
        qsort(all, steps.count, sizeof(*all), step_compare);
    *out = steps;
    return OK;
}

static bool has_result(const struct debate_step *step)
{
    return str_is(step->status, "done") || str_is(step->status, "failed");
}

/* --- The new debate ---------------------------------------------------------------------- */

struct text {
    struct str value;
};

static const struct field text_row[] = { { FIELD(struct text, value) }, { 0 } };

static enum result draft_agents(struct list *out, struct db *db, struct str debate_id)
{
    struct list found;

    TRY(transcript_agents(&found, db, debate_id));
    struct debate_agent *agents = arena_array(db_arena(db), found.count, sizeof(*agents));
    for (size_t i = 0; i < found.count; i++) {
        const struct transcript_agent *agent = (const struct transcript_agent *)found.at + i;

        agents[i] = (struct debate_agent){ .agent = agent->agent,
                                           .provider = agent->provider,
                                           .role = agent->role,
                                           .model = agent->model,
                                           .persona = agent->persona };
    }
    *out = (struct list){ agents, found.count };
    return OK;
}

/* The same question to the same agents. The row is locked, so that its texts are erased before
 * this transaction, or after it. */
static enum result draft_of(struct debate_draft *out, struct debate *source, struct db *db,
                            struct str debate_id)
{
    struct text request;

    TRY(db_one(&request, db, text_row, ERR_DEBATE_NOT_FOUND,
               "UPDATE debates SET updated_at = updated_at WHERE org_id = $1 AND debate_id = $2"
               " AND deleted_at IS NULL RETURNING request",
               BIND(debate_id)));
    TRY(debate_find(source, db, debate_id));
    *out = (struct debate_draft){ .task = source->task,
                                  .context = source->context,
                                  .consensus = source->consensus_mode,
                                  .judge_selection = source->judge_selection,
                                  .judge_seed = source->judge_seed,
                                  .user_id = source->user_id,
                                  .rounds = source->rounds_requested,
                                  .request = { request.value },
                                  .is_demo = source->is_demo };
    return draft_agents(&out->agents, db, debate_id);
}

/* --- Forks ------------------------------------------------------------------------------- */

/* Which of the steps are taken over: those in front of number live. */
struct cut {
    const struct debate_step *steps;
    size_t count, live; /* live == count: all */
    int64_t messages;   /* among those taken over */
};

static enum result cut_find(struct cut *out, struct list steps, const struct fork_draft *draft)
{
    struct cut cut = { steps.at, steps.count, 0, 0 };

    for (; cut.live < cut.count; cut.live++) {
        const struct debate_step *step = &cut.steps[cut.live];

        if (draft->step.at ? str_eq(step->step, draft->step)
                           : step->message && cut.messages == draft->branch_point)
            break;
        cut.messages += step->message && has_result(step);
    }
    if (draft->step.at && cut.live == cut.count)
        return ERR_NOT_FOUND;
    if (!draft->step.at && cut.messages < draft->branch_point)
        return ERR_RANGE;
    *out = cut;
    return OK;
}

/* Votes, and what follows from them, belong to the last round: it moves with the rounds. */
static enum result cut_rounds(struct cut *cut, int64_t rounds, int64_t parents)
{
    if (cut->live < cut->count && cut->steps[cut->live].round > rounds)
        return ERR_INVALID_VALUE;
    if (rounds == parents)
        return OK;
    for (size_t i = 0; i < cut->live; i++) {
        if (cut->steps[i].round > rounds)
            return ERR_INVALID_VALUE;
        if (cut->steps[i].place < PLACE_VOTE)
            continue;
        for (size_t late = i; late < cut->live; late++)
            cut->messages -= cut->steps[late].message && has_result(&cut->steps[late]);
        cut->live = i;
    }
    return OK;
}

/* fork-PARENT-rN-HEX, as far as an id is that long: a fork of forks leaves the parent out. */
static struct str fork_id(struct arena *arena, struct str parent_id, int64_t branch_point)
{
    struct str end = id_random(arena, "", 8);
    struct str id = arena_printf(arena, "fork-" STR_FMT "-r%lld-" STR_FMT, STR_ARG(parent_id),
                                 (long long)branch_point, STR_ARG(end));

    return id.len <= LOOP_ID_MAX
               ? id
               : arena_printf(arena, "fork-r%lld-" STR_FMT, (long long)branch_point,
                              STR_ARG(id_random(arena, "", 32)));
}

/* $2 the fork, $3 its job, $4 the parent. */
#define TAKEN                                                                                      \
    "EXISTS (SELECT 1 FROM job_steps s WHERE s.org_id = $1 AND s.job_id = $3 AND s.step = "

static const char *const taking[] = {
    "INSERT INTO debate_messages (org_id, debate_id, round, role, agent, target, content,"
    " is_partial, salt, created_at)"
    " SELECT m.org_id, $2, m.round, m.role, m.agent, m.target, m.content, 0, m.salt, m.created_at"
    " FROM debate_messages m WHERE m.org_id = $1 AND m.debate_id = $4 AND m.is_partial = 0"
    " AND " TAKEN STEP_OF_MESSAGE ")",

    "INSERT INTO debate_critiques (org_id, debate_id, round, agent, target_agent, issues,"
    " suggestions, severity, reasoning, error, created_at)"
    " SELECT c.org_id, $2, c.round, c.agent, c.target_agent, c.issues, c.suggestions, c.severity,"
    " c.reasoning, c.error, c.created_at FROM debate_critiques c"
    " WHERE c.org_id = $1 AND c.debate_id = $4 AND " TAKEN
    "CAST(c.round AS TEXT) || '/critique/' || c.agent || '/' || c.target_agent)",

    "INSERT INTO debate_votes (org_id, debate_id, round, agent, choice, confidence, weight,"
    " reasoning, salt, created_at)"
    " SELECT v.org_id, $2, v.round, v.agent, v.choice, v.confidence, v.weight, v.reasoning,"
    " v.salt, v.created_at FROM debate_votes v"
    " WHERE v.org_id = $1 AND v.debate_id = $4 AND " TAKEN
    "CAST(v.round AS TEXT) || '/vote/' || v.agent)",

    /* Behind debate_start, numbered anew. The first consensus of a round with such a check is it.
     */
    "INSERT INTO events (org_id, loop_id, seq, type, agent, agent_seq, round, task_id, at, data)"
    " SELECT e.org_id, $2, 1 + ROW_NUMBER() OVER (ORDER BY e.seq), e.type, e.agent,"
    " CASE WHEN e.agent IS NULL THEN 0"
    "  ELSE ROW_NUMBER() OVER (PARTITION BY e.agent ORDER BY e.seq) END,"
    " e.round, e.task_id, (SELECT now_us()), e.data FROM events e"
    " WHERE e.org_id = $1 AND e.loop_id = $4 AND e.type NOT LIKE 'token%' AND"
    " (EXISTS (SELECT 1 FROM job_steps s WHERE s.org_id = $1 AND s.job_id = $3"
    "   AND s.task_id = e.task_id)"
    "  OR (e.type = 'round_start' AND " TAKEN "CAST(e.round AS TEXT) || '/start'))"
    "  OR (e.type = 'consensus' AND " TAKEN "CAST(e.round AS TEXT) || '/convergence')"
    "   AND e.seq = (SELECT MIN(f.seq) FROM events f WHERE f.org_id = $1 AND f.loop_id = $4"
    "    AND f.type = 'consensus' AND f.round = e.round)))",
};

struct failed {
    struct str agent;
    int64_t times;
};

static const struct field failed_row[] = {
    { FIELD(struct failed, agent) },
    { FIELD(struct failed, times) },
    { 0 },
};

/* The first so many of a list of failures. */
static enum result take_first(struct db *db, struct str id, const struct failed *failed,
                              struct json_text list)
{
    struct json_object *all;

    TRY(json_parse(&all, db_arena(db), list.text, &json_limits_wide, NULL));
    for (size_t i = 0; i < (size_t)failed->times && i < json_object_array_length(all); i++) {
        CLEANUP(buf_free) struct buf text = { 0 };

        json_write(&text, json_object_array_get_idx(all, i));
        TRY(transcript_agent_failed(db, id, failed->agent, (struct json_text){ buf_view(&text) }));
    }
    return OK;
}

/* What went wrong with an agent stands in its list in the order of its agent_error events, so those
 * that were taken over are the first of the list. */
static enum result take_failures(struct db *db, struct str id, struct str parent_id)
{
    struct list failed, lists;

    TRY(db_all(&failed, db, failed_row, sizeof(struct failed),
               "SELECT agent, COUNT(*) FROM events WHERE org_id = $1 AND loop_id = $2"
               " AND type = 'agent_error' GROUP BY agent",
               BIND(id)));
    TRY(transcript_failures(&lists, db, parent_id));
    for (size_t i = 0; i < failed.count; i++)
        for (size_t k = 0; k < lists.count; k++) {
            const struct failed *one = (const struct failed *)failed.at + i;
            const struct transcript_failures *of = (const struct transcript_failures *)lists.at + k;

            if (str_eq(one->agent, of->agent))
                TRY(take_first(db, id, one, of->list));
        }
    return OK;
}

static enum result take_over(struct db *db, struct str id, struct str parent_id,
                             const struct cut *cut)
{
    struct text job;

    TRY(db_one(&job, db, text_row, ERR_INTERNAL,
               "SELECT job_id FROM jobs WHERE org_id = $1 AND kind = 'debate' AND subject_id = $2",
               BIND(id)));
    for (size_t i = 0; i < cut->live; i++)
        if (has_result(&cut->steps[i]))
            TRY(db_run(NULL, db,
                       "INSERT INTO job_steps (org_id, job_id, step, status, agent, task_id,"
                       " attempt_id, text, text_seq, result, attempts, updated_at)"
                       " SELECT s.org_id, $3, s.step, s.status, s.agent, s.task_id, s.attempt_id,"
                       " s.text, s.text_seq, s.result, s.attempts, s.updated_at FROM job_steps s"
                       " JOIN jobs j ON j.org_id = s.org_id AND j.job_id = s.job_id"
                       " WHERE s.org_id = $1 AND j.kind = 'debate' AND j.subject_id = $2"
                       " AND s.step = $4",
                       BIND(parent_id, job.value, cut->steps[i].step)));
    for (size_t i = 0; i < COUNT(taking); i++)
        TRY(db_run(NULL, db, taking[i], BIND(id, job.value, parent_id)));
    TRY(db_run(NULL, db,
               "UPDATE loops SET last_seq = (SELECT MAX(e.seq) FROM events e WHERE e.org_id = $1"
               " AND e.loop_id = $2), moved_at = (SELECT now_us())"
               " WHERE org_id = $1 AND loop_id = $2",
               BIND(id)));
    return take_failures(db, id, parent_id);
}

static struct str with_premise(struct arena *arena, struct str context, struct str premise)
{
    if (!premise.len)
        return context;
    return context.len
               ? arena_printf(arena, STR_FMT "\n\n" STR_FMT, STR_ARG(context), STR_ARG(premise))
               : premise;
}

static const struct field fork_row[] = {
    { FIELD(struct fork, fork_id) },
    { FIELD(struct fork, parent_id) },
    { FIELD(struct fork, step) },
    { FIELD(struct fork, premise) },
    { FIELD(struct fork, status) },
    { FIELD(struct fork, under) },
    { FIELD(struct fork, branch_point) },
    { FIELD(struct fork, created_at) },
    { 0 },
};

/* Inside the transaction. */
static enum result fork_write(struct fork *out, struct db *db, const struct fork_draft *draft,
                              int64_t max_waiting)
{
    struct debate_draft debate;
    struct debate parent;
    struct list steps;
    struct cut cut;

    TRY(draft_of(&debate, &parent, db, draft->parent_id));
    TRY(debate_steps(&steps, db, draft->parent_id));
    TRY(cut_find(&cut, steps, draft));
    if (draft->rounds != INT_NONE)
        debate.rounds = draft->rounds;
    TRY(cut_rounds(&cut, debate.rounds, parent.rounds_requested));
    debate.debate_id = fork_id(db_arena(db), draft->parent_id, cut.messages);
    debate.context = with_premise(db_arena(db), debate.context, draft->premise);
    if (draft->user_id.at)
        debate.user_id = draft->user_id;
    debate.trace_id = draft->trace_id;
    debate.traceparent = draft->traceparent;
    debate.parent_debate_id = draft->parent_id;
    debate.branch_point = cut.messages;
    debate.fork_step = cut.live < cut.count ? cut.steps[cut.live].step : STR_NONE;
    debate.premise = draft->premise.len ? draft->premise : STR_NONE;
    TRY(debate_create(&debate.debate_id, db, &debate, max_waiting));
    TRY(take_over(db, debate.debate_id, draft->parent_id, &cut));
    return db_one(out, db, fork_row, ERR_INTERNAL,
                  "SELECT debate_id, parent_debate_id, fork_step, premise, 'queued',"
                  " parent_debate_id, branch_point, created_at FROM debates"
                  " WHERE org_id = $1 AND debate_id = $2",
                  BIND(debate.debate_id));
}

enum result debate_fork(struct fork *out, struct db *db, const struct fork_draft *draft,
                        int64_t max_waiting)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct fork fork;

    if (!db_in_tx(db))
        TRY(tx_begin(&tx, db));
    TRY(fork_write(&fork, db, draft, max_waiting));
    if (tx.db)
        TRY(tx_commit(&tx));
    *out = fork;
    return OK;
}

enum result debate_forks(struct list *out, struct db *db, struct str debate_id)
{
    return db_all(out, db, fork_row, sizeof(struct fork),
                  "WITH RECURSIVE down (debate_id, under, anchor) AS ("
                  " SELECT debate_id, debate_id, debate_id FROM debates"
                  "  WHERE org_id = $1 AND debate_id = $2"
                  " UNION ALL SELECT f.debate_id, n.anchor,"
                  "  CASE WHEN f.deleted_at IS NULL THEN f.debate_id ELSE n.anchor END"
                  "  FROM debates f JOIN down n ON f.parent_debate_id = n.debate_id"
                  "  WHERE f.org_id = $1)"
                  " SELECT d.debate_id, d.parent_debate_id, d.fork_step, d.premise, l.status,"
                  " n.under, d.branch_point, d.created_at FROM down n"
                  " JOIN debates d ON d.org_id = $1 AND d.debate_id = n.debate_id"
                  " JOIN loops l ON l.org_id = $1 AND l.loop_id = d.debate_id"
                  " WHERE d.deleted_at IS NULL AND d.debate_id <> $2"
                  " ORDER BY d.created_at, d.debate_id",
                  BIND(debate_id));
}

/* --- Replays ----------------------------------------------------------------------------- */

/* NULL: the step can be replayed. */
static const char *step_gap(struct db *db, const struct debate_step *step,
                            const struct attempt_vault *vault)
{
    struct str reply;

    if (!has_result(step))
        return "it came to no result";
    if (!step->asked || str_is(step->status, "failed"))
        return NULL;
    if (!step->kept)
        return "its provider's reply was not kept, or was erased";
    return attempt_reply(&reply, db, step->attempt_id, vault) == OK
               ? NULL
               : "its provider's reply cannot be opened with this data directory's master key";
}

enum result replay_check(struct replay_gap *gap, struct db *db, struct str source_id,
                         const struct attempt_vault *vault)
{
    struct replay_gap found = { STR_NONE, NULL };
    struct debate source;
    struct list steps;

    TRY(debate_find(&source, db, source_id));
    TRY(debate_steps(&steps, db, source_id));
    for (size_t i = 0; i < steps.count && !found.why; i++) {
        const struct debate_step *step = (const struct debate_step *)steps.at + i;

        found = (struct replay_gap){ step->step, step_gap(db, step, vault) };
    }
    if (!found.why)
        found.step = STR_NONE;
    if (!str_is(source.status, "completed") && !str_is(source.status, "error")) {
        if (!found.why)
            found.why = "the debate did not come to its own end";
    } else if (!steps.count) {
        found.why = "the debate has no steps";
    }
    if (!found.why)
        return OK;
    *gap = found;
    return ERR_CONFLICT;
}

enum result debate_replay(struct str *replay_id, struct db *db, struct str source_id,
                          int64_t max_waiting)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct debate_draft draft;
    struct debate source;
    struct str made;

    TRY(tx_begin(&tx, db));
    TRY(draft_of(&draft, &source, db, source_id));
    draft.replay_of = source_id;
    TRY(debate_create(&made, db, &draft, max_waiting));
    TRY(tx_commit(&tx));
    *replay_id = made;
    return OK;
}

static const struct field bill_row[] = {
    { FIELD(struct debate_bill, calls) },
    { FIELD(struct debate_bill, micro_usd) },
    { 0 },
};

enum result debate_bill(struct debate_bill *out, struct db *db, struct str debate_id)
{
    return db_one(out, db, bill_row, ERR_INTERNAL,
                  "SELECT COUNT(*), COALESCE(SUM(a.cost_micro_usd), 0) FROM provider_attempts a"
                  " JOIN jobs j ON j.org_id = a.org_id AND j.job_id = a.job_id"
                  " WHERE a.org_id = $1 AND j.kind = 'debate' AND j.subject_id = $2",
                  BIND(debate_id));
}

enum result debate_offspring(struct list *out, struct db *db, struct str debate_id)
{
    return db_all(out, db, text_row, sizeof(struct text),
                  "WITH RECURSIVE down (debate_id) AS (SELECT debate_id FROM debates"
                  "  WHERE org_id = $1 AND debate_id = $2"
                  " UNION ALL SELECT d.debate_id FROM debates d JOIN down n"
                  "  ON d.parent_debate_id = n.debate_id OR d.replay_of = n.debate_id"
                  "  WHERE d.org_id = $1)"
                  " SELECT d.debate_id FROM down n JOIN debates d ON d.org_id = $1"
                  " AND d.debate_id = n.debate_id WHERE d.debate_id <> $2 AND d.task <> ''"
                  " ORDER BY d.created_at, d.debate_id",
                  BIND(debate_id));
}
