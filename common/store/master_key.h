/* master_key.h - the key that stored secrets are encrypted with: DATA/keys/master.key.
 *
 * Made at the first start only: once the database holds its fingerprint, a missing or other key
 * refuses (decision 29). */
#ifndef ARAGORA_MASTER_KEY_H
#define ARAGORA_MASTER_KEY_H

#include "common/base/seal.h"
#include "common/db/db.h"

/* ERR_KEY: missing, unreadable as a key, or not the database's. ERR_SYSTEM, ERR_DATABASE*. */
MUST_USE enum result master_key_open(struct seal_key *out, struct arena *arena, struct db *db);

#endif
