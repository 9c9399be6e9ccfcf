/* text.h - what the agents of a loop are saying now.
 *
 * Deltas are sent, not stored. Those of a text that has not ended are kept, from its first on: who
 * is sent its start late gets the same deltas then, and who joins in the middle gets the text so
 * far. Where one was missed, nothing is kept: the text's end has the whole.
 *
 * A text may be begun anew, as the next attempt: deltas of one never stand under the start of
 * another, also where the news of that start was lost. */
#ifndef ARAGORA_STREAMD_TEXT_H
#define ARAGORA_STREAMD_TEXT_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "streamd/frame.h"

struct text {
    struct text *next;
    struct str agent, task_id;
    int64_t start_seq; /* of its token_start */
    int64_t attempt;
    int64_t heard_us;
    struct frame **deltas; /* agent_seq 1 to count */
    size_t count, room, bytes;
    struct buf said; /* the tokens of the first said_count deltas */
    size_t said_count;
    bool broken; /* a delta was missed, or there were too many: none is kept */
    char names[];
};

struct text_event {
    struct str type, agent, task_id;
    int64_t seq, attempt;
};
/* An event of the journal: a text begins anew, or is over. */
void texts_follow(struct text **texts, const struct text_event *event);
struct text *text_find(struct text *texts, struct str agent, struct str task_id);
/* The text that a delta of this attempt belongs to; NULL: its start is not known. A later attempt
 * than the one that is known ends that one. */
struct text *text_of_attempt(struct text **texts, struct str agent, struct str task_id,
                             int64_t attempt);
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
