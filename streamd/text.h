/* text.h - what the agents of a loop are saying now.
 *
 * Deltas are sent, not stored. Those of a text that has not ended are kept, from its first on: who
 * is sent its start late gets the same deltas then, and who joins in the middle gets the text so
 * far. Where one was missed, nothing is kept: the text's end has the whole. */
#ifndef ARAGORA_STREAMD_TEXT_H
#define ARAGORA_STREAMD_TEXT_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "streamd/frame.h"

struct text {
    struct text *next;
    struct str agent, task_id;
    int64_t start_seq; /* of its token_start */
    int64_t heard_us;
    struct frame **deltas; /* agent_seq 1 to count */
    size_t count, room, bytes;
    struct buf said; /* the tokens of the first said_count deltas */
    size_t said_count;
    bool broken; /* a delta was missed, or there were too many: none is kept */
    char names[];
};

/* An event of the journal: a text begins anew, or is over. */
void texts_follow(struct text **texts, struct str type, struct str agent, struct str task_id,
                  int64_t seq);
struct text *text_find(struct text *texts, struct str agent, struct str task_id);
/* That began with this event; NULL: none. */
struct text *text_started(struct text *texts, int64_t seq);
/* The delta with this agent_seq. Shares the frame. */
void text_hear(struct text *text, int64_t agent_seq, struct frame *delta);
/* What its deltas say; borrowed until the next call. scratch: for a while. */
struct str text_said(struct text *text, struct arena *scratch);
/* Those of which nothing was heard for long: their end was missed. */
void texts_forget(struct text **texts, int64_t now_us);
void texts_free(struct text **texts);

#endif
