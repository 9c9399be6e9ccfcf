/* erasure.h - the texts of a debate are deleted, and nothing else.
 *
 * Gone afterwards: task, context, request, answer, result, messages, critiques, votes, salts, the
 * texts of steps, attempts and events, and the public form of the receipt. The native receipt and
 * the chain hold digests only: they stay, verify, and tell of the erasure. Backups hold what they
 * held. */
#ifndef ARAGORA_ERASURE_H
#define ARAGORA_ERASURE_H

#include "common/db/db.h"

/* A transaction of its own. ERR_DEBATE_NOT_FOUND: none of the organisation's. ERR_CONFLICT: it has
 * not ended. ERR_ERASED: it was erased before. ERR_DATABASE*: it was not, or SQLite's file may hold
 * copies until they are written over. */
MUST_USE enum result receipt_erase(struct db *db, struct str debate_id);

#endif
