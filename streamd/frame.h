/* frame.h - bytes that are sent to many: encoded once, shared, counted. One thread. */
#ifndef ARAGORA_STREAMD_FRAME_H
#define ARAGORA_STREAMD_FRAME_H

#include "common/base/base.h"

struct frame {
    unsigned refs, queued; /* queued: how many clients it was for */
    size_t len, payload_len;
    char at[];
};

/* A WebSocket text frame around this text. Each function gives one reference to the caller. */
struct frame *frame_text(struct str text);
/* Bytes as they stand: a handshake, a control frame. */
struct frame *frame_bytes(struct str bytes);
struct frame *frame_share(struct frame *frame);
void frame_drop(struct frame *frame); /* NULL is fine */

/* The text that frame_text() was given; borrowed. */
struct str frame_payload(const struct frame *frame);

#endif
