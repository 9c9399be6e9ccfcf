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
    memcpy(frame->at, bytes.at, bytes.len);
    return frame;
}

struct frame *frame_text(struct str text)
{
    CLEANUP(buf_free) struct buf bytes = { 0 };

    ws_frame_text(&bytes, WS_SERVER, text);
    return frame_bytes(buf_view(&bytes));
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
