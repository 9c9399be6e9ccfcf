/* stream.h - what the stream daemon reads of loops: their state, who may see them, what moved. */
#ifndef ARAGORA_STREAM_H
#define ARAGORA_STREAM_H

#include "common/store/event.h"

/* A random text that is stored with the database: sequence numbers of another epoch mean nothing
 * here (decision 21). Made on the first call. */
MUST_USE enum result stream_epoch(struct str *out, struct db *db);

struct loop_state { /* strings live in the session's arena */
    struct str org_id, status;
    int64_t last_seq;
    bool ended;
};
/* A loop of the organisation, or a public one; of no debate that was deleted. ERR_NOT_FOUND: there
 * is none that it may see. */
MUST_USE enum result loop_visible(struct loop_state *out, struct db *db, struct str org_id,
                                  struct str loop_id);

struct loop_live {
    struct str loop_id, name, status;
    struct utc started_at;
};
/* Debates of the session's organisation that have not ended, newest first; of loop_live. */
MUST_USE enum result loops_live(struct list *out, struct db *db, int64_t limit);

struct loop_moved {
    struct str org_id, loop_id;
    int64_t last_seq;
    struct utc moved_at;
};
/* At most LOOPS_MOVED_MAX loops of all organisations that got an event since then, oldest first,
 * by the database's clock. since absent: in the last ten seconds. */
#define LOOPS_MOVED_MAX 5000
MUST_USE enum result loops_moved(struct list *out, struct db *db, struct utc since);

struct loops_of {
    struct str org_id;
    int64_t active;
};
/* How many loops of each organisation have not ended. */
MUST_USE enum result loops_active(struct list *out, struct db *db);

struct running_text {
    struct str agent, task_id, text;
    int64_t text_seq; /* the last delta that text contains */
    int64_t attempt;  /* which try at the text, from 1 */
};
/* What is being said in a loop of the session's organisation, as last stored. */
MUST_USE enum result loop_running_texts(struct list *out, struct db *db, struct str loop_id);

#endif
