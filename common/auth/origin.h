/* origin.h - from which web origins a browser may call (http.md 5.1); the stream ports ask the
 * same. */
#ifndef ARAGORA_ORIGIN_H
#define ARAGORA_ORIGIN_H

#include "common/base/base.h"

/* By ARAGORA_ALLOWED_ORIGINS and the public URL; false for an empty or absent one. */
bool origin_allowed(struct str origin);
/* The same without "*": what says that everyone may call vouches for nobody. */
bool origin_named(struct str origin);

#endif
