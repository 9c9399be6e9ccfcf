#include "common/store/stream.h"

#include "common/base/id.h"
#include "common/store/meta.h"

enum result stream_epoch(struct str *out, struct db *db)
{
    enum result result = meta_find(out, db, STR("stream_epoch"));

    if (result != ERR_NOT_FOUND)
        return result;
    return meta_settle(out, db, STR("stream_epoch"), id_random(db_arena(db), "", 16));
}

static const struct field state_row[] = {
    { FIELD(struct loop_state, org_id) },
    { FIELD(struct loop_state, status) },
    { FIELD(struct loop_state, last_seq) },
    { FIELD(struct loop_state, ended) },
    { 0 },
};

enum result loop_visible(struct loop_state *out, struct db *db, struct str org_id,
                         struct str loop_id)
{
    return db_one(out, db_system(db), state_row, ERR_NOT_FOUND,
                  "SELECT org_id, status, last_seq, CASE WHEN ended_at IS NULL THEN 0 ELSE 1 END"
                  " FROM loops l WHERE loop_id = $2 AND (org_id = $1 OR visibility = 'public')"
                  " AND NOT EXISTS (SELECT 1 FROM debates d WHERE d.org_id = l.org_id"
                  "  AND d.debate_id = l.loop_id AND d.deleted_at IS NOT NULL)",
                  BIND(org_id.at ? org_id : STR(""), loop_id));
}

static const struct field live_row[] = {
    { FIELD(struct loop_live, loop_id) },
    { FIELD(struct loop_live, name) },
    { FIELD(struct loop_live, status) },
    { FIELD(struct loop_live, started_at) },
    { 0 },
};

enum result loops_live(struct list *out, struct db *db, int64_t limit)
{
    return db_all(out, db, live_row, sizeof(struct loop_live),
                  "SELECT l.loop_id, d.task, l.status, d.created_at FROM loops l"
                  " JOIN debates d ON d.org_id = l.org_id AND d.debate_id = l.loop_id"
                  " WHERE l.org_id = $1 AND l.ended_at IS NULL AND d.deleted_at IS NULL"
                  " ORDER BY d.created_at DESC LIMIT $2",
                  BIND(limit));
}

static const struct field moved_row[] = {
    { FIELD(struct loop_moved, org_id) },
    { FIELD(struct loop_moved, loop_id) },
    { FIELD(struct loop_moved, last_seq) },
    { FIELD(struct loop_moved, moved_at) },
    { 0 },
};

enum result loops_moved(struct list *out, struct db *db, struct utc since)
{
    return db_all(out, db_system(db), moved_row, sizeof(struct loop_moved),
                  "SELECT org_id, loop_id, last_seq, moved_at FROM loops WHERE moved_at >="
                  " CASE WHEN $1 > 0 THEN $1 ELSE (SELECT now_us()) - 10000000 END"
                  " ORDER BY moved_at LIMIT $2",
                  BIND(since.us, (int64_t)LOOPS_MOVED_MAX));
}

static const struct field active_row[] = {
    { FIELD(struct loops_of, org_id) },
    { FIELD(struct loops_of, active) },
    { 0 },
};

enum result loops_active(struct list *out, struct db *db)
{
    return db_all(out, db_system(db), active_row, sizeof(struct loops_of),
                  "SELECT org_id, COUNT(*) FROM loops WHERE ended_at IS NULL GROUP BY org_id",
                  NO_BINDS);
}

static const struct field text_row[] = {
    { FIELD(struct running_text, agent) },   { FIELD(struct running_text, task_id) },
    { FIELD(struct running_text, text) },    { FIELD(struct running_text, text_seq) },
    { FIELD(struct running_text, attempt) }, { 0 },
};

enum result loop_running_texts(struct list *out, struct db *db, struct str loop_id)
{
    return db_all(out, db, text_row, sizeof(struct running_text),
                  "SELECT s.agent, s.task_id, s.text, s.text_seq, s.attempts FROM jobs j"
                  " JOIN job_steps s ON s.org_id = j.org_id AND s.job_id = j.job_id"
                  " WHERE j.org_id = $1 AND j.subject_id = $2 AND j.ended_at IS NULL"
                  " AND s.status = 'started' AND s.text IS NOT NULL AND s.task_id IS NOT NULL",
                  BIND(loop_id));
}
