/* trace.c - the ids under which a request is found again (http.md 9). */
#include "common/base/crypto.h"
#include "common/base/id.h"
#include "common/base/log.h"
#include "fcgi/pipeline.h"

#include <ctype.h>

#define ID_MAX      128
#define REQUEST_HEX 12
#define TRACE_HEX   32
#define SPAN_HEX    16

/* What may stand in logs and headers as it was sent. */
static bool acceptable(struct str id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!isalnum((unsigned char)id.at[i]) && !strchr("_.:-", id.at[i]))
            return false;
    return id.len >= 1 && id.len <= ID_MAX;
}

static bool hex_id(struct str id, size_t len)
{
    bool zero = true;

    for (size_t i = 0; i < id.len; i++) {
        if (!strchr("0123456789abcdef", id.at[i]))
            return false;
        zero = zero && id.at[i] == '0';
    }
    return id.len == len && !zero;
}

/* 00-<trace>-<parent span>-<flags> (W3C Trace Context 3.2). */
static void read_traceparent(struct request *r)
{
    struct str rest = header(r, "traceparent"), version, trace, span;

    if (!rest.len || !str_is_text(rest) || !str_split(&version, &rest, '-') ||
        !str_split(&trace, &rest, '-') || !str_split(&span, &rest, '-'))
        return;
    if (version.len != 2 || str_is(version, "ff") || !hex_id(trace, TRACE_HEX) ||
        !hex_id(span, SPAN_HEX))
        return;
    if (!r->trace_id.at)
        r->trace_id = trace;
    if (!r->parent_span.at)
        r->parent_span = span;
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

enum result stage_trace(struct request *r)
{
    const unsigned char *random = draw();

    r->request_id = sent(r, "x-request-id");
    r->trace_id = sent(r, "x-trace-id");
    r->parent_span = sent(r, "x-parent-span-id");
    read_traceparent(r);
    if (!r->request_id.at)
        r->request_id = id_hex(r->arena, "req-", random, REQUEST_HEX);
    if (!r->trace_id.at)
        r->trace_id = id_hex(r->arena, "", random + REQUEST_HEX / 2, TRACE_HEX);
    r->span_id = id_hex(r->arena, "", random + (REQUEST_HEX + TRACE_HEX) / 2, SPAN_HEX);
    log_context(r->request_id, r->trace_id);
    return OK;
}
