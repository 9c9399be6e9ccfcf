/* event.h - the journal: what happened in a loop, in the order of commit.
 *
 * An event is appended in the transaction that makes the change it tells of. seq is given out
 * there, gapless from 1 per loop; the row lock on the loop orders its publishers. After the
 * commit the whole event goes to the bus as a hint; the table is the truth. */
#ifndef ARAGORA_EVENT_H
#define ARAGORA_EVENT_H

#include "common/base/buf.h"
#include "common/db/db.h"

enum event_type {
#define EVENT(name, doc) EVENT_##name,
#include "common/store/events.def"
#undef EVENT
    EVENT_COUNT
};

struct event_draft {
    enum event_type type;
    struct str loop_id, agent, task_id, trace_id; /* agent, task_id, trace_id: optional */
    int64_t round;
    bool in_text;               /* token events: agent_seq counts within the agent's text */
    int64_t agent_seq;          /* of these; of all others it is the agent's count in the loop */
    int64_t attempt;            /* of these: which try at the text, from 1 */
    const struct field *fields; /* of data */
    const void *data;
};

struct event { /* a row; strings live in the session's arena */
    struct str loop_id, type, agent, task_id, trace_id;
    int64_t seq, agent_seq, round;
    int64_t attempt; /* of a token event that was just told: which try at the text; else 0 */
    struct utc at;
    struct json_text data;
};

/* Inside a transaction. *out may be NULL. ERR_NOT_FOUND: no such loop in the organisation. */
MUST_USE enum result event_append(struct event *out, struct db *db,
                                  const struct event_draft *draft);
/* Tells listeners of what is not stored: a token delta. seq must be 0. */
void event_tell(struct str org_id, const struct event *event);
/* Events with seq >= from, in order, at most limit. */
MUST_USE enum result event_read(struct list *out, struct db *db, struct str loop_id, int64_t from,
                                int64_t limit);
/* Of the events up to last_seq those of which a snapshot is made (streaming.md 8.1), in order. */
MUST_USE enum result event_history(struct list *out, struct db *db, struct str loop_id,
                                   int64_t last_seq);
/* One frame as clients see it (streaming.md 3): a JSON object without trailing newline. */
void event_encode(struct buf *out, const struct event *event);

/* Who hears of committed events and of deltas; one per process, set at start. org and event are
 * borrowed. */
typedef void event_listener(void *arg, struct str org_id, const struct event *event);
void event_listen(event_listener *listener, void *arg);

struct loop_draft {
    struct str loop_id, kind, owner_id, visibility, status;
};

/* Inside a transaction. */
MUST_USE enum result loop_insert(struct db *db, const struct loop_draft *draft);
/* Compare and set: from one status to another; final ones never change. ERR_CONFLICT. */
MUST_USE enum result loop_move(struct db *db, struct str loop_id, struct str from, struct str to,
                               bool final);

#endif
