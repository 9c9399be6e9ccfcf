#include "streamd/text.h"

#include "common/base/clock.h"
#include "common/base/json.h"

#include <stdlib.h>

#define TEXT_MAX ((size_t)512 * 1024) /* bytes of the deltas that are kept of one text */
#define IDLE_US  (900 * US_PER_S)

static void forget_deltas(struct text *text)
{
    while (text->count)
        frame_drop(text->deltas[--text->count]);
    free(text->deltas);
    text->deltas = NULL;
    text->room = text->bytes = text->said_count = 0;
    buf_free(&text->said);
}

static void text_free(struct text **texts, struct text *text)
{
    struct text **at = texts;

    while (*at != text)
        at = &(*at)->next;
    *at = text->next;
    forget_deltas(text);
    free(text);
}

void texts_free(struct text **texts)
{
    while (*texts)
        text_free(texts, *texts);
}

void texts_forget(struct text **texts, int64_t now_us)
{
    struct text *next;

    for (struct text *text = *texts; text; text = next) {
        next = text->next;
        if (now_us - text->heard_us > IDLE_US)
            text_free(texts, text);
    }
}

struct text *text_find(struct text *texts, struct str agent, struct str task_id)
{
    while (texts && !(str_eq(texts->agent, agent) && str_eq(texts->task_id, task_id)))
        texts = texts->next;
    return texts;
}

struct text *text_of_attempt(struct text **texts, struct str agent, struct str task_id,
                             int64_t attempt)
{
    struct text *text = text_find(*texts, agent, task_id);

    if (!text || text->attempt == attempt)
        return text;
    if (text->attempt < attempt)
        text_free(texts, text);
    return NULL;
}

struct text *text_started(struct text *texts, int64_t seq)
{
    while (texts && texts->start_seq != seq)
        texts = texts->next;
    return texts;
}

static char *name_copy(struct str *out, char *at, struct str name)
{
    if (name.len)
        memcpy(at, name.at, name.len);
    *out = (struct str){ at, name.len };
    return at + name.len;
}

static void text_begin(struct text **texts, const struct text_event *event)
{
    struct text *text = calloc(1, sizeof(*text) + event->agent.len + event->task_id.len);

    if (!text)
        abort();
    (void)name_copy(&text->task_id, name_copy(&text->agent, text->names, event->agent),
                    event->task_id);
    text->start_seq = event->seq;
    text->attempt = event->attempt;
    text->heard_us = monotonic_coarse_us();
    text->next = *texts;
    *texts = text;
}

void texts_follow(struct text **texts, const struct text_event *event)
{
    struct text *text;

    if (str_is(event->type, "debate_end")) {
        texts_free(texts);
        return;
    }
    if (!str_starts(event->type, STR("token_")))
        return;
    text = text_find(*texts, event->agent, event->task_id);
    if (text && event->seq <= text->start_seq)
        return; /* read again, for who replays it */
    if (text)
        text_free(texts, text);
    if (str_is(event->type, "token_start"))
        text_begin(texts, event);
}

void text_hear(struct text *text, int64_t agent_seq, struct frame *delta)
{
    text->heard_us = monotonic_coarse_us();
    if (text->broken)
        return;
    if (agent_seq != (int64_t)text->count + 1 || text->bytes + delta->len > TEXT_MAX) {
        text->broken = true;
        forget_deltas(text);
        return;
    }
    if (text->count == text->room) {
        text->room = text->room ? 2 * text->room : 16;
        text->deltas = realloc(text->deltas, text->room * sizeof(struct frame *));
        if (!text->deltas)
            abort();
    }
    text->deltas[text->count++] = frame_share(delta);
    text->bytes += delta->len;
}

static struct str token_of(const struct frame *delta, struct arena *scratch)
{
    struct json_object *frame, *data;
    struct str token = STR_NONE;

    if (json_parse(&frame, scratch, frame_payload(delta), &json_limits_wide, NULL) == OK &&
        json_get(&data, frame, "data"))
        (void)json_get_str(&token, data, "token");
    return token;
}

struct str text_said(struct text *text, struct arena *scratch)
{
    for (; text->said_count < text->count; text->said_count++)
        buf_str(&text->said, token_of(text->deltas[text->said_count], scratch));
    return buf_view(&text->said);
}
