#include "common/store/erasure.h"

#include "common/store/receipt_chain.h"

struct subject {
    struct utc ended_at;
    struct str task, receipt_id, digest; /* receipt_id, digest: STR_NONE without a receipt */
};

static const struct field subject_row[] = {
    { FIELD(struct subject, ended_at) },
    { FIELD(struct subject, task) },
    { FIELD(struct subject, receipt_id) },
    { FIELD(struct subject, digest) },
    { 0 },
};

static enum result subject_find(struct subject *out, struct db *db, struct str debate_id)
{
    return db_one(out, db, subject_row, ERR_DEBATE_NOT_FOUND,
                  "SELECT l.ended_at, d.task, r.receipt_id, r.digest FROM debates d"
                  " JOIN loops l ON l.org_id = d.org_id AND l.loop_id = d.debate_id"
                  " LEFT JOIN receipts r ON r.org_id = d.org_id AND r.subject_id = d.debate_id"
                  " WHERE d.org_id = $1 AND d.debate_id = $2",
                  BIND(debate_id));
}

/* The slug is made of the task's words; an agent's failures quote what it said. What
 * receipt_generated tells is no text. */
static const char *const erasing[] = {
    "UPDATE jobs SET payload = '{}', result = NULL, error = NULL, cancel = NULL"
    " WHERE org_id = $1 AND subject_id = $2",
    "UPDATE job_steps SET text = NULL, result = NULL WHERE org_id = $1 AND job_id IN"
    " (SELECT job_id FROM jobs WHERE org_id = $1 AND subject_id = $2)",
    "UPDATE provider_attempts SET reply = NULL, error = NULL WHERE org_id = $1 AND job_id IN"
    " (SELECT job_id FROM jobs WHERE org_id = $1 AND subject_id = $2)",
    "UPDATE events SET data = '{}' WHERE org_id = $1 AND loop_id = $2"
    " AND type <> 'receipt_generated'",
    "UPDATE debates SET slug = debate_id, task = '', context = NULL, request = '{}',"
    " premise = NULL, final_answer = NULL, result = NULL, error = NULL, task_salt = '',"
    " answer_salt = '',"
    " updated_at = (SELECT now_us()), deleted_at = COALESCE(deleted_at, (SELECT now_us()))"
    " WHERE org_id = $1 AND debate_id = $2",
    "UPDATE debate_agents SET failures = '[]' WHERE org_id = $1 AND debate_id = $2",
    "DELETE FROM debate_messages WHERE org_id = $1 AND debate_id = $2",
    "DELETE FROM debate_critiques WHERE org_id = $1 AND debate_id = $2",
    "DELETE FROM debate_votes WHERE org_id = $1 AND debate_id = $2",
    "UPDATE receipts SET odr = NULL, odr_v01 = NULL WHERE org_id = $1 AND subject_id = $2",
};

/* A debate without a receipt stands in no chain. */
static enum result erasure_tell(struct db *db, const struct subject *subject)
{
    struct chain_head head;
    struct chain_entry entry;

    if (!subject->receipt_id.at)
        return OK;
    TRY(receipt_chain_take(&head, db));
    const struct chain_facts facts = { .position = head.position,
                                       .prev_hash = head.prev_hash,
                                       .kind = STR("erasure"),
                                       .subject = subject->receipt_id,
                                       .digest = subject->digest };
    TRY(chain_entry_write(&entry, db_arena(db), &facts));
    return receipt_chain_append(db, &head, facts.kind, &entry);
}

/* SQLite leaves deleted texts in its file, and changed pages in the log, until they are written
 * over: here they are at once. A PRAGMA must run outside a transaction, as db_all() does. */
static enum result sqlite_pragma(struct db *db, const char *sql)
{
    static const struct field no_row[] = { { 0 } };
    struct list none;

    if (db_backend(db) != DB_SQLITE)
        return OK;
    return db_all(&none, db_system(db), no_row, 1, sql, NO_BINDS);
}

enum result receipt_erase(struct db *db, struct str debate_id)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct subject subject;

    TRY(sqlite_pragma(db, "PRAGMA secure_delete = ON"));
    TRY(tx_begin(&tx, db));
    TRY(subject_find(&subject, db, debate_id));
    if (!subject.ended_at.us)
        return ERR_CONFLICT;
    if (!subject.task.len)
        return ERR_ERASED;
    for (size_t i = 0; i < COUNT(erasing); i++)
        TRY(db_run(NULL, db, erasing[i], BIND(debate_id)));
    TRY(erasure_tell(db, &subject));
    TRY(tx_commit(&tx));
    return sqlite_pragma(db, "PRAGMA wal_checkpoint(TRUNCATE)");
}
