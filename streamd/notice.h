/* notice.h - frames that are no events: answers and notices to one client.
 *
 * {"type":...,"data":{ is written by notice_begin(), members by the others, and the end by
 * notice_send(). */
#ifndef ARAGORA_STREAMD_NOTICE_H
#define ARAGORA_STREAMD_NOTICE_H

#include "common/base/buf.h"
#include "streamd/client.h"

void notice_begin(struct buf *out, const char *type);
void notice_str(struct buf *out, const char *key, struct str value);
void notice_int(struct buf *out, const char *key, int64_t value);
void notice_bool(struct buf *out, const char *key, bool value);
void notice_now(struct buf *out, const char *key);
void notice_cursor(struct buf *out, const struct client *client, int64_t seq);
/* loop_id: of the loop that it is about, or STR_NONE. */
void notice_send(struct client *client, struct buf *out, struct str loop_id);

struct problem {
    const char *message, *type, *text_code; /* type, text_code: NULL: none */
    int64_t code;                           /* 0: none, or text_code */
};
void notice_problem(struct client *client, const struct problem *problem);

#endif
