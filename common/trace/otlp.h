/* otlp.h - spans as OTLP in its JSON form (opentelemetry-proto, OTLP/HTTP).
 *
 * Ids are hexadecimal, integers of 64 bits decimal text, as that specification departs from the
 * JSON mapping of protobuf for ids and follows it for the rest. */
#ifndef ARAGORA_TRACE_OTLP_H
#define ARAGORA_TRACE_OTLP_H

#include "common/trace/span.h"

/* An attribute behind those that are there. The text must be UTF-8. */
void otlp_str(struct buf *attributes, const char *key, struct str value);
void otlp_int(struct buf *attributes, const char *key, int64_t value);
void otlp_double(struct buf *attributes, const char *key, double value);

/* A span that ends now. */
void otlp_span(struct buf *out, const struct span *span, int64_t ended_us);

/* A request: otlp_begin(), the spans with commas between them, otlp_end(). resource: attributes. */
void otlp_begin(struct buf *out, struct str resource);
void otlp_end(struct buf *out);

#endif
