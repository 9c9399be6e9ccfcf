#include "common/store/attempt.h"

#include "common/base/settings.h"
#include "common/store/master_key.h"

#include <stdlib.h>
#include <zlib.h>

#define REPLY_MAX  (INT64_C(1) << 30)
#define SIZE_BYTES 8 /* in front of the compressed bytes: how many they were */

enum result attempt_vault_open(struct attempt_vault *out, struct arena *arena, struct db *db)
{
    struct seal_key master;

    TRY(master_key_open(&master, arena, db));
    out->keeps = setting_flag(SETTING_KEEP_REPLIES);
    seal_derive(&out->key, &master, "provider_attempts.reply");
    return OK;
}

enum result attempt_cite(struct db *db, const struct job *job, struct str step,
                         struct str attempt_id)
{
    return db_run(NULL, db,
                  "UPDATE job_steps SET attempt_id = $4"
                  " WHERE org_id = $1 AND job_id = $2 AND step = $3",
                  BIND(job->job_id, step, attempt_id));
}

enum result attempt_begin(struct db *db, const struct job *job, const struct attempt_draft *draft)
{
    TRY(db_run(NULL, db,
               "INSERT INTO provider_attempts (org_id, attempt_id, job_id, step, provider,"
               " model_asked, outcome, request_digest, tokens_in, tokens_out, reserved_micro_usd,"
               " estimated, started_at)"
               " VALUES ($1, $2, $3, $4, $5, $6, 'in_flight', $7, $8, $9, $10, 1,"
               " (SELECT now_us()))",
               BIND(draft->attempt_id, job->job_id, draft->step, draft->provider, draft->model,
                    draft->request_digest, draft->tokens_in, draft->tokens_out,
                    draft->worst_micro_usd)));
    return attempt_cite(db, job, draft->step, draft->attempt_id);
}

static struct bytes packed(struct arena *arena, struct str text)
{
    uLongf len = compressBound(text.len);
    unsigned char *out = arena_alloc(arena, SIZE_BYTES + len);

    for (size_t i = 0; i < SIZE_BYTES; i++)
        out[i] = (unsigned char)(text.len >> (8 * (SIZE_BYTES - 1 - i)));
    if (compress2(out + SIZE_BYTES, &len, (const unsigned char *)text.at, text.len, 6) != Z_OK)
        abort(); /* out of memory: the bound leaves room enough */
    return (struct bytes){ out, SIZE_BYTES + len };
}

static bool unpacked(struct str *out, struct arena *arena, struct bytes bytes)
{
    uint64_t size = 0;

    if (bytes.len < SIZE_BYTES)
        return false;
    for (size_t i = 0; i < SIZE_BYTES; i++)
        size = size << 8 | bytes.at[i];
    if (size > REPLY_MAX)
        return false;
    unsigned char *text = arena_alloc(arena, size + 1);
    uLongf len = size;
    if (uncompress(text, &len, bytes.at + SIZE_BYTES, bytes.len - SIZE_BYTES) != Z_OK ||
        len != size)
        return false;
    *out = (struct str){ (const char *)text, size };
    return true;
}

enum result attempt_end(struct db *db, const struct attempt_end *end,
                        const struct attempt_vault *vault)
{
    struct bytes reply = { 0 };

    if (vault && vault->keeps && end->reply.len)
        reply = seal(db_arena(db), &vault->key, end->attempt_id, packed(db_arena(db), end->reply));
    return db_run(NULL, db,
                  "UPDATE provider_attempts SET outcome = $3, model_served = $4,"
                  " request_digest = $5, reply = $6, tokens_in = $7, tokens_out = $8,"
                  " cost_micro_usd = $9, estimated = $10, first_byte_at = $11, error = $12,"
                  " ended_at = (SELECT now_us())"
                  " WHERE org_id = $1 AND attempt_id = $2 AND outcome = 'in_flight'",
                  BIND(end->attempt_id, end->outcome, end->model_served, end->request_digest, reply,
                       end->tokens_in, end->tokens_out, end->cost_micro_usd, end->estimated,
                       end->first_byte_at, end->error));
}

enum result attempt_lose(struct db *db, const struct job *job, struct str step)
{
    return db_run(NULL, db,
                  "UPDATE provider_attempts SET outcome = 'lost', estimated = 1,"
                  " cost_micro_usd = reserved_micro_usd, ended_at = (SELECT now_us()),"
                  " error = 'The runner was lost before the reply was stored'"
                  " WHERE org_id = $1 AND job_id = $2 AND outcome = 'in_flight'"
                  " AND ($3 = '' OR step = $3)",
                  BIND(job->job_id, step.at ? step : STR("")));
}

enum result attempt_total(struct db *db, const struct job *job)
{
    return db_run(NULL, db,
                  "UPDATE debates SET"
                  " total_cost_micro_usd = (SELECT COALESCE(SUM(cost_micro_usd), 0)"
                  "  FROM provider_attempts WHERE org_id = $1 AND job_id = $3),"
                  " total_tokens = (SELECT COALESCE(SUM(COALESCE(tokens_in, 0) +"
                  "  COALESCE(tokens_out, 0)), 0)"
                  "  FROM provider_attempts WHERE org_id = $1 AND job_id = $3)"
                  " WHERE org_id = $1 AND debate_id = $2",
                  BIND(job->subject_id, job->job_id));
}

enum result attempt_expire(int64_t *removed, struct db *db, int64_t term_us, int64_t max)
{
    return db_run(removed, db_system(db),
                  "UPDATE provider_attempts SET reply = NULL WHERE (org_id, attempt_id) IN"
                  " (SELECT org_id, attempt_id FROM provider_attempts WHERE reply IS NOT NULL"
                  " AND ended_at < (SELECT now_us()) - $1 ORDER BY ended_at LIMIT $2)",
                  BIND(term_us, max));
}

struct kept {
    struct bytes reply;
};

static const struct field kept_row[] = { { FIELD(struct kept, reply) }, { 0 } };

enum result attempt_reply(struct str *out, struct db *db, struct str attempt_id,
                          const struct attempt_vault *vault)
{
    struct bytes plain;
    struct kept kept;

    TRY(db_one(&kept, db, kept_row, ERR_NOT_FOUND,
               "SELECT reply FROM provider_attempts WHERE org_id = $1 AND attempt_id = $2"
               " AND reply IS NOT NULL",
               BIND(attempt_id)));
    TRY(seal_open(&plain, db_arena(db), &vault->key, attempt_id, kept.reply));
    return unpacked(out, db_arena(db), plain) ? OK : ERR_KEY;
}

static const struct field answer_row[] = {
    { FIELD(struct attempt_answer, status) },
    { FIELD(struct attempt_answer, attempt_id) },
    { FIELD(struct attempt_answer, failure) },
    { 0 },
};

enum result attempt_answer_find(struct attempt_answer *out, struct db *db, struct str debate_id,
                                struct str step, const struct attempt_vault *vault)
{
    struct attempt_answer answer = { STR_NONE, STR_NONE, STR_NONE, { STR_NONE } };
    enum result result =
        db_one(&answer, db, answer_row, ERR_NOT_FOUND,
               "SELECT s.status, s.attempt_id, (SELECT e.data FROM events e WHERE e.org_id = $1"
               "  AND e.loop_id = $2 AND e.task_id = s.task_id AND e.type = 'agent_error'"
               "  ORDER BY e.seq DESC LIMIT 1)"
               " FROM job_steps s JOIN jobs j ON j.org_id = s.org_id AND j.job_id = s.job_id"
               " WHERE s.org_id = $1 AND j.kind = 'debate' AND j.subject_id = $2 AND s.step = $3",
               BIND(debate_id, step));

    if (result == OK && vault && answer.attempt_id.at && str_is(answer.status, "done"))
        result = attempt_reply(&answer.reply, db, answer.attempt_id, vault);
    if (result == OK || result == ERR_NOT_FOUND || result == ERR_KEY) {
        *out = answer;
        return OK;
    }
    return result;
}
