#include "common/store/transcript.h"

#include "common/base/id.h"
#include "common/receipt/receipt.h"

static struct str salt_new(struct db *db)
{
    return id_random(db_arena(db), "", 2 * (size_t)RECEIPT_SALT_BYTES);
}

static const struct field agent_row[] = {
    { FIELD(struct transcript_agent, agent) },   { FIELD(struct transcript_agent, provider) },
    { FIELD(struct transcript_agent, role) },    { FIELD(struct transcript_agent, model) },
    { FIELD(struct transcript_agent, persona) }, { 0 },
};

enum result transcript_agents(struct list *out, struct db *db, struct str debate_id)
{
    return db_all(out, db, agent_row, sizeof(struct transcript_agent),
                  "SELECT agent, provider, role, model, persona FROM debate_agents"
                  " WHERE org_id = $1 AND debate_id = $2 ORDER BY position, agent",
                  BIND(debate_id));
}

static const struct field failures_row[] = {
    { FIELD(struct transcript_failures, agent) },
    { FIELD(struct transcript_failures, list) },
    { 0 },
};

enum result transcript_failures(struct list *out, struct db *db, struct str debate_id)
{
    return db_all(out, db, failures_row, sizeof(struct transcript_failures),
                  "SELECT agent, failures FROM debate_agents WHERE org_id = $1 AND debate_id = $2"
                  " AND failures <> '[]' ORDER BY position, agent",
                  BIND(debate_id));
}

enum result transcript_agent_failed(struct db *db, struct str debate_id, struct str agent,
                                    struct json_text failure)
{
    struct transcript_failures failures;

    TRY(db_one(&failures, db, failures_row, ERR_NOT_FOUND,
               "SELECT agent, failures FROM debate_agents"
               " WHERE org_id = $1 AND debate_id = $2 AND agent = $3",
               BIND(debate_id, agent)));
    struct str open =
        str_slice(failures.list.text, 0, failures.list.text.len - 1); /* without its ] */
    struct str longer = arena_printf(db_arena(db), STR_FMT "%s" STR_FMT "]", STR_ARG(open),
                                     open.len > 1 ? "," : "", STR_ARG(failure.text));
    return db_run(NULL, db,
                  "UPDATE debate_agents SET failures = $4"
                  " WHERE org_id = $1 AND debate_id = $2 AND agent = $3",
                  BIND(debate_id, agent, (struct json_text){ longer }));
}

enum result transcript_message_add(struct db *db, const struct transcript_message *in)
{
    return db_run(NULL, db,
                  "INSERT INTO debate_messages (org_id, debate_id, round, role, agent, target,"
                  " content, is_partial, salt, created_at)"
                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, (SELECT now_us()))"
                  " ON CONFLICT (org_id, debate_id, round, role, agent, target) DO NOTHING",
                  BIND(in->debate_id, in->round, in->role, in->agent,
                       in->target.at ? in->target : STR(""), in->content, in->partial,
                       salt_new(db)));
}

enum result transcript_critique_add(struct db *db, const struct transcript_critique *in)
{
    return db_run(NULL, db,
                  "INSERT INTO debate_critiques (org_id, debate_id, round, agent, target_agent,"
                  " issues, suggestions, severity, reasoning, created_at)"
                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, (SELECT now_us()))"
                  " ON CONFLICT (org_id, debate_id, round, agent, target_agent) DO NOTHING",
                  BIND(in->debate_id, in->round, in->agent, in->target, in->issues, in->suggestions,
                       in->severity, in->reasoning));
}

enum result transcript_vote_add(struct db *db, const struct transcript_vote *in)
{
    return db_run(NULL, db,
                  "INSERT INTO debate_votes (org_id, debate_id, round, agent, choice, confidence,"
                  " reasoning, salt, created_at)"
                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT now_us()))"
                  " ON CONFLICT (org_id, debate_id, round, agent) DO NOTHING",
                  BIND(in->debate_id, in->round, in->agent, in->choice, in->confidence,
                       in->reasoning, salt_new(db)));
}

static const struct field text_row[] = {
    { FIELD(struct transcript_text, kind) },  { FIELD(struct transcript_text, agent) },
    { FIELD(struct transcript_text, text) },  { FIELD(struct transcript_text, salt) },
    { FIELD(struct transcript_text, round) }, { 0 },
};

enum result transcript_texts(struct list *out, struct db *db, struct str debate_id)
{
    return db_all(
        out, db, text_row, sizeof(struct transcript_text),
        "SELECT kind, agent, text, salt, round FROM"
        " (SELECT CASE WHEN role = 'critic' THEN 'critique' ELSE 'message' END AS kind,"
        "   agent, content AS text, salt, round, role, target FROM debate_messages"
        "   WHERE org_id = $1 AND debate_id = $2"
        "  UNION ALL SELECT 'vote', agent, COALESCE(reasoning, ''), salt, round, 'voter', ''"
        "   FROM debate_votes WHERE org_id = $1 AND debate_id = $2) said"
        " ORDER BY round, kind, role, agent, target",
        BIND(debate_id));
}

static const struct field ballot_row[] = {
    { FIELD(struct transcript_ballot, agent) },      { FIELD(struct transcript_ballot, role) },
    { FIELD(struct transcript_ballot, choice) },     { FIELD(struct transcript_ballot, reasoning) },
    { FIELD(struct transcript_ballot, created_at) }, { 0 },
};

enum result transcript_ballots(struct list *out, struct db *db, struct str debate_id)
{
    return db_all(out, db, ballot_row, sizeof(struct transcript_ballot),
                  "SELECT v.agent, a.role, v.choice, v.reasoning, v.created_at FROM debate_votes v"
                  " JOIN debate_agents a ON a.org_id = v.org_id AND a.debate_id = v.debate_id"
                  " AND a.agent = v.agent WHERE v.org_id = $1 AND v.debate_id = $2"
                  " AND v.round = (SELECT MAX(round) FROM debate_votes"
                  "  WHERE org_id = $1 AND debate_id = $2)"
                  " ORDER BY a.position, v.agent",
                  BIND(debate_id));
}

static const struct field objection_row[] = {
    { FIELD(struct transcript_objection, agent) },
    { FIELD(struct transcript_objection, reasoning) },
    { FIELD(struct transcript_objection, issues) },
    { FIELD(struct transcript_objection, severity) },
    { 0 },
};

enum result transcript_objections(struct list *out, struct db *db, struct str debate_id,
                                  int64_t round, struct str target)
{
    return db_all(out, db, objection_row, sizeof(struct transcript_objection),
                  "SELECT agent, reasoning, issues, severity FROM debate_critiques"
                  " WHERE org_id = $1 AND debate_id = $2 AND round = $3 AND target_agent = $4"
                  " ORDER BY severity DESC, agent",
                  BIND(debate_id, round, target));
}

static const struct field frame_row[] = {
    { FIELD(struct transcript_frame, task) },
    { FIELD(struct transcript_frame, task_salt) },
    { FIELD(struct transcript_frame, final_answer) },
    { FIELD(struct transcript_frame, answer_salt) },
    { 0 },
};

enum result transcript_frame(struct transcript_frame *out, struct db *db, struct str debate_id)
{
    return db_one(out, db, frame_row, ERR_DEBATE_NOT_FOUND,
                  "SELECT NULLIF(task, ''), task_salt, final_answer, answer_salt FROM debates"
                  " WHERE org_id = $1 AND debate_id = $2",
                  BIND(debate_id));
}

enum result transcript_started(struct db *db, struct str debate_id)
{
    return db_run(NULL, db,
                  "UPDATE debates SET started_at = COALESCE(started_at, (SELECT now_us())),"
                  " updated_at = (SELECT now_us()) WHERE org_id = $1 AND debate_id = $2",
                  BIND(debate_id));
}

enum result transcript_finished(struct db *db, struct str debate_id,
                                const struct transcript_outcome *outcome)
{
    return db_run(NULL, db,
                  "UPDATE debates SET consensus_reached = $3, confidence = $4,"
                  " consensus_strength = $5, winner = $6, final_answer = $7, rounds_used = $8,"
                  " result = $9, error = $10, completed_at = (SELECT now_us()),"
                  " updated_at = (SELECT now_us())"
                  " WHERE org_id = $1 AND debate_id = $2 AND completed_at IS NULL",
                  BIND(debate_id, outcome->reached, outcome->confidence, outcome->strength,
                       outcome->winner, outcome->final_answer, outcome->rounds_used,
                       outcome->result, outcome->error));
}

enum result transcript_receipt(struct db *db, const struct transcript_receipt *in)
{
    return db_run(NULL, db,
                  "UPDATE debates SET receipt_id = $3, task_salt = $4, answer_salt = $5"
                  " WHERE org_id = $1 AND debate_id = $2",
                  BIND(in->debate_id, in->receipt_id, in->task_salt, in->answer_salt));
}
