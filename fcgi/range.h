/* range.h - one part of a body, by a Range header (RFC 9110 14). */
#ifndef ARAGORA_RANGE_H
#define ARAGORA_RANGE_H

#include "common/base/base.h"

struct range {
    int64_t first, count;
};

/* Of a body of size bytes. The whole for a header that is absent, faulty or asks for several
 * parts, all of which may be passed over. ERR_RANGE: it begins behind the end. */
MUST_USE enum result range_read(struct range *out, struct str header, int64_t size);

#endif
