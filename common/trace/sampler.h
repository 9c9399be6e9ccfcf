/* sampler.h - which traces are recorded.
 *
 * By the trace's id alone or by its parent, so that all programs decide alike. */
#ifndef ARAGORA_TRACE_SAMPLER_H
#define ARAGORA_TRACE_SAMPLER_H

#include "common/trace/context.h"

enum sampler_rule { SAMPLE_ALWAYS, SAMPLE_NEVER, SAMPLE_RATIO };

struct sampler {
    enum sampler_rule rule;
    bool by_parent; /* who has a parent is recorded as that is; the rule is for roots */
    double ratio;   /* 0..1 */
};

/* One of the names of OTEL_TRACES_SAMPLER; false: none of them. */
MUST_USE bool sampler_read(struct sampler *out, struct str name, double ratio);
/* parent_sampled: of the parent's context; NULL: it is a root. */
bool sampler_takes(const struct sampler *sampler, const unsigned char trace[TRACE_ID_BYTES],
                   const bool *parent_sampled);

#endif
