#include "common/store/transcript.h"

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

struct failures {
    struct str list;
};

static const struct field failures_row[] = { { FIELD(struct failures, list) }, { 0 } };

enum result transcript_agent_failed(struct db *db, struct str debate_id, struct str agent,
                                    struct json_text failure)
{
    struct failures failures;

    TRY(db_one(&failures, db, failures_row, ERR_NOT_FOUND,
               "SELECT failures FROM debate_agents"
               " WHERE org_id = $1 AND debate_id = $2 AND agent = $3",
               BIND(debate_id, agent)));
    struct str open = str_slice(failures.list, 0, failures.list.len - 1); /* without its ] */
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
                  " content, is_partial, created_at)"
                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT now_us()))"
                  " ON CONFLICT (org_id, debate_id, round, role, agent, target) DO NOTHING",
                  BIND(in->debate_id, in->round, in->role, in->agent,
                       in->target.at ? in->target : STR(""), in->content, in->partial));
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
    return db_run(
        NULL, db,
        "INSERT INTO debate_votes (org_id, debate_id, round, agent, choice, confidence,"
        " reasoning, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, (SELECT now_us()))"
        " ON CONFLICT (org_id, debate_id, round, agent) DO NOTHING",
        BIND(in->debate_id, in->round, in->agent, in->choice, in->confidence, in->reasoning));
}

static const struct field text_row[] = {
    { FIELD(struct transcript_text, kind) },
    { FIELD(struct transcript_text, agent) },
    { FIELD(struct transcript_text, text) },
    { FIELD(struct transcript_text, round) },
    { 0 },
};

enum result transcript_texts(struct list *out, struct db *db, struct str debate_id)
{
    return db_all(out, db, text_row, sizeof(struct transcript_text),
                  "SELECT kind, agent, text, round FROM"
                  " (SELECT CASE WHEN role = 'critic' THEN 'critique' ELSE 'message' END AS kind,"
                  "   agent, content AS text, round, role, target FROM debate_messages"
                  "   WHERE org_id = $1 AND debate_id = $2"
                  "  UNION ALL SELECT 'vote', agent, COALESCE(reasoning, ''), round, 'voter', ''"
                  "   FROM debate_votes WHERE org_id = $1 AND debate_id = $2) said"
                  " ORDER BY round, kind, role, agent, target",
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

enum result transcript_receipt(struct db *db, struct str debate_id, struct str receipt_id)
{
    return db_run(NULL, db,
                  "UPDATE debates SET receipt_id = $3 WHERE org_id = $1 AND debate_id = $2",
                  BIND(debate_id, receipt_id));
}
