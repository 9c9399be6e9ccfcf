#include "streamd/frame.h"

#include "common/ws/frame.h"

#include <stdlib.h>

struct frame *frame_bytes(struct str bytes)
{
    struct frame *frame = malloc(sizeof(*frame) + bytes.len);

    if (!frame)
        abort();
    frame->refs = 1;
    frame->len = bytes.len;
    frame->payload_len = 0;
    memcpy(frame->at, bytes.at, bytes.len);
    return frame;
}

struct frame *frame_text(struct str text)
{
    CLEANUP(buf_free) struct buf bytes = { 0 };
    struct frame *frame;

    ws_frame_text(&bytes, WS_SERVER, text);
    frame = frame_bytes(buf_view(&bytes));
    frame->payload_len = text.len;
    return frame;
}

struct frame *frame_share(struct frame *frame)
{
    frame->refs++;
    return frame;
}

void frame_drop(struct frame *frame)
{
    if (frame && --frame->refs == 0)
        free(frame);
}

struct str frame_payload(const struct frame *frame)
{
    return (struct str){ frame->at + frame->len - frame->payload_len, frame->payload_len };
}
