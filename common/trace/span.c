#include "common/trace/span.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/log.h"
#include "common/trace/exporter.h"
#include "common/trace/otlp.h"

bool trace_on;

static _Thread_local const struct trace_context *current;

#define DRAWN_IDS 64

void span_id_new(unsigned char out[SPAN_ID_BYTES])
{
    static _Thread_local unsigned char drawn[DRAWN_IDS][SPAN_ID_BYTES];
    static _Thread_local size_t left;
    static const unsigned char none[SPAN_ID_BYTES];

    do {
        if (!left) {
            random_bytes(drawn, sizeof(drawn));
            left = DRAWN_IDS;
        }
        memcpy(out, drawn[--left], SPAN_ID_BYTES);
    } while (memcmp(out, none, SPAN_ID_BYTES) == 0);
}

/* Invalid UTF-8 has no place in JSON. */
static void add_text(struct buf *out, struct str text)
{
    if (str_is_text(text))
        buf_str(out, text);
    else
        buf_str(out, STR("(not text)"));
}

void span_name(struct span *span, const char *verb, struct str object)
{
    if (!span->recorded)
        return;
    buf_clear(&span->name);
    buf_str(&span->name, str_from(verb));
    if (object.len) {
        buf_char(&span->name, ' ');
        add_text(&span->name, object);
    }
}

void span_begin_as(struct span *span, enum span_kind kind, const struct trace_context *self,
                   const unsigned char *parent, int64_t started_us)
{
    *span = (struct span){ 0 };
    span->context = *self;
    span->recorded = trace_on && self->sampled;
    if (!span->recorded)
        return;
    span->kind = kind;
    span->started_us = started_us;
    span->started.us = utc_now().us - (monotonic_us() - started_us);
    span->has_parent = parent != NULL;
    if (parent)
        memcpy(span->parent, parent, SPAN_ID_BYTES);
}

void span_begin(struct span *span, enum span_kind kind, const struct trace_context *parent,
                const char *verb, struct str object)
{
    struct trace_context self;

    if (!trace_on || !parent || !parent->sampled) {
        *span = (struct span){ 0 };
        if (parent)
            span->context = *parent;
        return;
    }
    self = *parent;
    span_id_new(self.span);
    span_begin_as(span, kind, &self, parent->span, monotonic_us());
    span_name(span, verb, object);
}

void span_str(struct span *span, const char *key, struct str value)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    if (!span->recorded || !value.at)
        return;
    add_text(&text, log_hides(key, value) ? STR("[REDACTED]") : value);
    otlp_str(&span->attributes, key, buf_view(&text));
}

void span_int(struct span *span, const char *key, int64_t value)
{
    if (span->recorded && value != INT_NONE)
        otlp_int(&span->attributes, key, value);
}

void span_double(struct span *span, const char *key, double value)
{
    if (span->recorded)
        otlp_double(&span->attributes, key, value);
}

void span_fail(struct span *span, struct str why)
{
    if (!span->recorded)
        return;
    span->failed = true;
    buf_clear(&span->problem);
    add_text(&span->problem, why);
}

void span_end(struct span *span)
{
    struct buf text = { 0 };

    if (span->entered)
        current = span->before;
    span->entered = false;
    if (!span->recorded)
        return;
    span->recorded = false;
    otlp_span(&text, span, monotonic_us());
    exporter_take(&text);
    buf_free(&span->name);
    buf_free(&span->attributes);
    buf_free(&span->problem);
}

void span_enter(struct span *span)
{
    span->before = current;
    span->entered = true;
    current = &span->context;
}

void span_current_set(const struct trace_context *context)
{
    current = context;
}

const struct trace_context *span_current(void)
{
    return current;
}
