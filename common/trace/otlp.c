#include "common/trace/otlp.h"

#include "common/base/crypto.h"
#include "common/base/version.h"

/* Flags of a span: the eight of traceparent, and that it is known whether the parent is remote
 * (trace.proto, SpanFlags); ours does not tell, so that bit stays off. */
#define FLAG_SAMPLED 1

enum { STATUS_ERROR = 2 };

static void begin_attribute(struct buf *out, const char *key, const char *type)
{
    buf_json_comma(out);
    buf_str(out, STR("{\"key\":"));
    buf_json_str(out, str_from(key));
    buf_str(out, STR(",\"value\":{\""));
    buf_str(out, str_from(type));
    buf_str(out, STR("\":"));
}

void otlp_str(struct buf *attributes, const char *key, struct str value)
{
    begin_attribute(attributes, key, "stringValue");
    buf_json_str(attributes, value);
    buf_str(attributes, STR("}}"));
}

static void quoted_int(struct buf *out, int64_t value)
{
    buf_char(out, '"');
    buf_json_int(out, value);
    buf_char(out, '"');
}

void otlp_int(struct buf *attributes, const char *key, int64_t value)
{
    begin_attribute(attributes, key, "intValue");
    quoted_int(attributes, value);
    buf_str(attributes, STR("}}"));
}

void otlp_double(struct buf *attributes, const char *key, double value)
{
    begin_attribute(attributes, key, "doubleValue");
    buf_json_double(attributes, value);
    buf_str(attributes, STR("}}"));
}

static void add_id(struct buf *out, const char *key, const unsigned char *id, size_t len)
{
    char text[TRACE_ID_HEX];

    hex_text(text, id, len);
    buf_json_key(out, str_from(key));
    buf_json_str(out, (struct str){ text, 2 * len });
}

static void add_time(struct buf *out, const char *key, int64_t us)
{
    buf_json_key(out, str_from(key));
    buf_char(out, '"');
    buf_json_int(out, us);
    buf_str(out, STR("000\"")); /* nanoseconds */
}

static void add_status(struct buf *out, const struct span *span)
{
    buf_json_key(out, STR("status"));
    if (!span->failed) {
        buf_str(out, STR("{}"));
        return;
    }
    buf_str(out, STR("{\"message\":"));
    buf_json_str(out, buf_view(&span->problem));
    buf_json_key(out, STR("code"));
    buf_json_int(out, STATUS_ERROR);
    buf_char(out, '}');
}

void otlp_span(struct buf *out, const struct span *span, int64_t ended_us)
{
    int64_t took_us = ended_us > span->started_us ? ended_us - span->started_us : 0;

    buf_char(out, '{');
    add_id(out, "traceId", span->context.trace, TRACE_ID_BYTES);
    add_id(out, "spanId", span->context.span, SPAN_ID_BYTES);
    if (span->has_parent)
        add_id(out, "parentSpanId", span->parent, SPAN_ID_BYTES);
    if (span->context.state.len) {
        buf_json_key(out, STR("traceState"));
        buf_json_str(out, span->context.state);
    }
    buf_json_key(out, STR("flags"));
    buf_json_int(out, FLAG_SAMPLED);
    buf_json_key(out, STR("name"));
    buf_json_str(out, buf_view(&span->name));
    buf_json_key(out, STR("kind"));
    buf_json_int(out, span->kind);
    add_time(out, "startTimeUnixNano", span->started.us);
    add_time(out, "endTimeUnixNano", span->started.us + took_us);
    buf_json_key(out, STR("attributes"));
    buf_char(out, '[');
    buf_str(out, buf_view(&span->attributes));
    buf_char(out, ']');
    add_status(out, span);
    buf_char(out, '}');
}

void otlp_begin(struct buf *out, struct str resource)
{
    buf_str(out, STR("{\"resourceSpans\":[{\"resource\":{\"attributes\":["));
    buf_str(out, resource);
    buf_str(out, STR("]},\"scopeSpans\":[{\"scope\":{\"name\":\"aragora\",\"version\":"));
    buf_json_str(out, STR(ARAGORA_VERSION));
    buf_str(out, STR("},\"spans\":["));
}

void otlp_end(struct buf *out)
{
    buf_str(out, STR("]}]}]}"));
}
