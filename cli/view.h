/* view.h - a debate on the terminal: what was said scrolls by, what is being said stands below.
 *
 * Where standard output is no terminal, one line per event and nothing moves. Texts come from
 * agents: control characters never reach the terminal. */
#ifndef ARAGORA_VIEW_H
#define ARAGORA_VIEW_H

#include "common/base/arena.h"

struct view;

/* plain: no colours and nothing that moves. *out is the caller's. */
struct view *view_new(bool plain);
void view_free(struct view *view);

/* One frame of the stream. */
void view_frame(struct view *view, struct str json);
/* A line of our own: connections lost and found. */
void view_notice(struct view *view, const char *format, ...) PRINTF(2, 3);
/* Redraws what stands below, where that is due. */
void view_tick(struct view *view);

struct view_end {
    bool ended, completed;
    struct str status, receipt_id; /* receipt_id: STR_NONE if there is none */
    bool expects_receipt;          /* a receipt follows */
};
/* What the frames so far say of the debate's end; strings are the view's. */
struct view_end view_end(const struct view *view);
int64_t view_last_seq(const struct view *view);
/* The verdict, as far as it is known. */
void view_verdict(struct view *view);

#endif
