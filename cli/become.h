/* become.h - leaving root for a user of the system. */
#ifndef ARAGORA_BECOME_H
#define ARAGORA_BECOME_H

#include "common/base/base.h"

/* Becomes the user with its groups, for good. directory: made and given to it if it is not there.
 * Says on standard error what went wrong. ERR_NOT_FOUND: no such user; ERR_SYSTEM: not root, or
 * the directory cannot be made. */
MUST_USE enum result become_user(const char *name, const char *directory);

#endif
