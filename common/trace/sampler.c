#include "common/trace/sampler.h"

bool sampler_read(struct sampler *out, struct str name, double ratio)
{
    static const struct {
        const char *name;
        struct sampler sampler;
    } samplers[] = {
        { "always_on", { SAMPLE_ALWAYS, false, 1 } },
        { "always_off", { SAMPLE_NEVER, false, 0 } },
        { "traceidratio", { SAMPLE_RATIO, false, 0 } },
        { "parentbased_always_on", { SAMPLE_ALWAYS, true, 1 } },
        { "parentbased_always_off", { SAMPLE_NEVER, true, 0 } },
        { "parentbased_traceidratio", { SAMPLE_RATIO, true, 0 } },
    };

    for (size_t i = 0; i < COUNT(samplers); i++) {
        if (!str_is(name, samplers[i].name))
            continue;
        *out = samplers[i].sampler;
        if (out->rule == SAMPLE_RATIO)
            out->ratio = ratio;
        return true;
    }
    return false;
}

/* The lower half of the id as a fraction of its range, as the libraries of OpenTelemetry do. */
static bool below(double ratio, const unsigned char trace[TRACE_ID_BYTES])
{
    uint64_t low = 0;

    for (size_t i = TRACE_ID_BYTES - 8; i < TRACE_ID_BYTES; i++)
        low = low << 8 | trace[i];
    return ratio >= 1 || (double)(low >> 1) < ratio * 9223372036854775808.0; /* 2^63 */
}

bool sampler_takes(const struct sampler *sampler, const unsigned char trace[TRACE_ID_BYTES],
                   const bool *parent_sampled)
{
    if (sampler->by_parent && parent_sampled)
        return *parent_sampled;
    switch (sampler->rule) {
    case SAMPLE_ALWAYS:
        return true;
    case SAMPLE_NEVER:
        return false;
    case SAMPLE_RATIO:
        break;
    }
    return below(sampler->ratio, trace);
}
