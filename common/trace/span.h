/* span.h - what was done, from when to when, and for whom.
 *
 * A span is begun and ended by one thread, and lives in its caller's memory. Without an exporter
 * nothing is recorded: each function is then one branch, without memory or system call. Texts are
 * copied; what looks like a secret is left out as in the log. Prompts, replies, values of SQL
 * statements and keys belong into no span. */
#ifndef ARAGORA_TRACE_SPAN_H
#define ARAGORA_TRACE_SPAN_H

#include "common/base/buf.h"
#include "common/trace/context.h"

/* The numbers of OTLP. */
enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER, SPAN_CLIENT, SPAN_PRODUCER, SPAN_CONSUMER };

struct span {                     /* zeroed: none; all functions pass it over */
    struct trace_context context; /* its own, if recorded; else that of its parent */
    bool recorded, failed, has_parent;
    unsigned char parent[SPAN_ID_BYTES];
    enum span_kind kind;
    struct utc started;
    int64_t started_us; /* monotonic */
    struct buf name, attributes, problem;
    const struct trace_context *before; /* current when it was entered */
    bool entered;
};

/* Configuration, set by trace_start(): are spans exported? */
extern bool trace_on;

/* New ids, in bulk, so that few of them cost a system call. Secrets are not made of them. */
void span_id_new(unsigned char out[SPAN_ID_BYTES]);

/* Part of what parent does; NULL, or a parent that is not recorded: it is not recorded either.
 * Its name is verb and object; object STR_NONE: verb. */
void span_begin(struct span *span, enum span_kind kind, const struct trace_context *parent,
                const char *verb, struct str object);
/* The same with ids that are known already; parent NULL: it is a root. started_us: monotonic. */
void span_begin_as(struct span *span, enum span_kind kind, const struct trace_context *self,
                   const unsigned char *parent, int64_t started_us);
void span_name(struct span *span, const char *verb, struct str object);

void span_str(struct span *span, const char *key, struct str value); /* STR_NONE: left out */
void span_int(struct span *span, const char *key, int64_t value);    /* INT_NONE: left out */
void span_double(struct span *span, const char *key, double value);
/* It failed; why: a word or two, of no secret. */
void span_fail(struct span *span, struct str why);
/* Hands it to the exporter. */
void span_end(struct span *span);

/* What is done on this thread from here to span_end() is part of it. */
void span_enter(struct span *span);
/* Sets that by hand, NULL: of nothing; borrowed until set again. */
void span_current_set(const struct trace_context *context);
const struct trace_context *span_current(void);

#endif
