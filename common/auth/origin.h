/* origin.h - which web pages may call (http.md 5, streaming.md 2.3). */
#ifndef ARAGORA_ORIGIN_H
#define ARAGORA_ORIGIN_H

#include "common/base/base.h"

/* origin: the header as sent, compared exactly. Absent is not allowed here: a caller that is no
 * browser sends none, and has nothing to ask. */
bool origin_allowed(struct str origin);

#endif
