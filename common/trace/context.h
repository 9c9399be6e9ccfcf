/* context.h - to which trace something belongs (W3C Trace Context, level 1).
 *
 * Ids that come from outside as text need not be of the standard's form: shorter hexadecimal is
 * filled with zeros in front, anything else is hashed, so that equal texts stay one trace. */
#ifndef ARAGORA_TRACE_CONTEXT_H
#define ARAGORA_TRACE_CONTEXT_H

#include "common/base/base.h"

#define TRACE_ID_BYTES   16
#define SPAN_ID_BYTES    8
#define TRACE_ID_HEX     32
#define SPAN_ID_HEX      16
#define TRACEPARENT_TEXT 55

struct trace_context {
    unsigned char trace[TRACE_ID_BYTES], span[SPAN_ID_BYTES];
    bool sampled;
    struct str state; /* tracestate, borrowed; STR_NONE: none */
};

/* false: no traceparent that may be read (3.2.2); of a later version its first four fields. */
MUST_USE bool traceparent_read(struct trace_context *out, struct str text);
void traceparent_write(char out[TRACEPARENT_TEXT], const struct trace_context *context);
/* May it be passed on (3.3.1)? */
bool tracestate_is_fit(struct str text);

void trace_id_read(unsigned char out[TRACE_ID_BYTES], struct str text);
/* false: no hexadecimal of at most 16 digits, or zero; then there is no such span. */
MUST_USE bool span_id_read(unsigned char out[SPAN_ID_BYTES], struct str text);

#endif
