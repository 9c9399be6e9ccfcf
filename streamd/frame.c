#include "streamd/frame.h"

#include "common/metrics/series.h"
#include "common/ws/frame.h"

#include <stdlib.h>

struct frame *frame_bytes(struct str bytes)
{
    struct frame *frame = malloc(sizeof(*frame) + bytes.len);

    if (!frame)
        abort();
    frame->refs = 1;
    frame->queued = 0;
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

/* All our messages name their type first, or soon; it is one of events.def's or notice.h's. */
static struct str type_of(struct str payload)
{
    struct str head = str_slice(payload, 0, 96), key = STR("\"type\":\""), type;
    size_t at;

    if (!str_find(&at, head, key))
        return STR("other");
    head = str_slice(head, at + key.len, head.len);
    (void)str_split(&type, &head, '"');
    return type;
}

void frame_drop(struct frame *frame)
{
    if (!frame || --frame->refs)
        return;
    if (frame->queued && frame->payload_len)
        series_add(METRIC_WS_MESSAGES, LABELS(STR("sent"), type_of(frame_payload(frame))),
                   frame->queued);
    free(frame);
}

struct str frame_payload(const struct frame *frame)
{
    return (struct str){ frame->at + frame->len - frame->payload_len, frame->payload_len };
}
