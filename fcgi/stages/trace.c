/* trace.c - the ids under which a request is found again (http.md 9). */
#include "common/trace/trace.h"
#include "common/base/crypto.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "fcgi/pipeline.h"

#include <ctype.h>
#include <stdlib.h>

#define ID_MAX      128
#define REQUEST_HEX 12
#define TRACE_HEX   TRACE_ID_HEX
#define SPAN_HEX    SPAN_ID_HEX

/* What may stand in logs and headers as it was sent. */
static bool acceptable(struct str id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!isalnum((unsigned char)id.at[i]) && !strchr("_.:-", id.at[i]))
            return false;
    return id.len >= 1 && id.len <= ID_MAX;
}

/* It counts whole or not at all: a span is a parent only in its own trace. */
static bool read_traceparent(struct request *r)
{
    struct str text = header(r, "traceparent"), state;
    struct str trace = str_slice(text, 3, 3 + TRACE_HEX);

    if (!text.len || !trace_is_told() || !traceparent_read(&r->trace, text))
        return false;
    if (r->trace_id.at && !str_eq(r->trace_id, trace)) {
        r->trace = (struct trace_context){ 0 };
        return false;
    }
    r->trace_id = trace;
    if (!r->parent_span.at)
        r->parent_span = str_slice(text, 4 + TRACE_HEX, 4 + TRACE_HEX + SPAN_HEX);
    state = header(r, "tracestate");
    if (tracestate_is_fit(state))
        r->trace.state = state;
    return true;
}

static struct str sent(const struct request *r, const char *name)
{
    struct str id = header(r, name);

    return acceptable(id) ? id : STR_NONE;
}

#define DRAW_BYTES    ((REQUEST_HEX + TRACE_HEX + SPAN_HEX) / 2)
#define DRAW_REQUESTS 32

/* The randomness of one request's ids; drawn for many at once, as the system call costs more than
 * the rest of this stage. Secrets are not made of it. Valid until the next call. */
static const unsigned char *draw(void)
{
    static unsigned char drawn[DRAW_REQUESTS][DRAW_BYTES];
    static size_t left;

    if (!left) {
        random_bytes(drawn, sizeof(drawn));
        left = DRAW_REQUESTS;
    }
    return drawn[--left];
}

static void fill_ids(struct trace_context *context, const struct request *r)
{
    trace_id_read(context->trace, r->trace_id);
    if (!hex_bytes(context->span, SPAN_ID_BYTES, r->span_id))
        abort(); /* we made it */
}

enum result stage_trace(struct request *r)
{
    const unsigned char *random = draw();

    r->request_id = sent(r, "x-request-id");
    r->trace_id = sent(r, "x-trace-id");
    r->parent_span = sent(r, "x-parent-span-id");
    bool has_parent = read_traceparent(r), parent_sampled = r->trace.sampled;
    if (!r->request_id.at)
        r->request_id = id_hex(r->arena, "req-", random, REQUEST_HEX);
    if (!r->trace_id.at)
        r->trace_id = id_hex(r->arena, "", random + REQUEST_HEX / 2, TRACE_HEX);
    r->span_id = id_hex(r->arena, "", random + (REQUEST_HEX + TRACE_HEX) / 2, SPAN_HEX);
    if (trace_on) {
        fill_ids(&r->trace, r);
        r->trace.sampled = trace_takes(r->trace.trace, has_parent ? &parent_sampled : NULL);
    }
    log_context(r->request_id, r->trace_id);
    return OK;
}

struct str traceparent(const struct request *r)
{
    struct trace_context context = r->trace;
    char text[TRACEPARENT_TEXT];

    if (!r->span_id.len)
        return STR_NONE;
    fill_ids(&context, r);
    traceparent_write(text, &context);
    return arena_str(r->arena, (struct str){ text, sizeof(text) });
}
