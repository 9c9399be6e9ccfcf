/* open_grant.h - whether this server runs in open mode (decision 1; common/auth/open_mode.h). */
#ifndef ARAGORA_OPEN_GRANT_H
#define ARAGORA_OPEN_GRANT_H

#include "common/db/db.h"

#include <sys/types.h>

/* Puts the grant into the environment of the processes to come, or takes away one that was
 * there; says on standard error what it did, and why it failed. starter: the user of the command
 * line, before any change of user. ERR_SETTING: open mode was asked for where it would let
 * strangers in. */
MUST_USE enum result open_grant(struct db *db, uid_t starter);

#endif
