/* idempotency.h - the answers to requests that created something, kept for their repeats.
 *
 * A client that got no answer sends its request again, under the same key. The answer is stored
 * in the transaction of what it tells of: a row means "done, and this was said", no row means
 * "nothing was done". There is no third state, so a killed worker leaves nothing to clear up.
 *
 * A request under way is no row but a lock, which the kernel takes from a dead process. It keeps
 * equal requests of one host apart; those of two hosts are kept apart by the primary key, behind
 * which the later transaction waits and is then undone. */
#ifndef ARAGORA_IDEMPOTENCY_H
#define ARAGORA_IDEMPOTENCY_H

#include "common/base/seal.h"
#include "common/db/db.h"

#define IDEMPOTENCY_TERM_US (INT64_C(24) * 3600 * US_PER_S)
#define IDEMPOTENCY_SWEEP   16 /* expired rows that a new one removes */

/* Which answer; the first four are the key of its row. */
struct idempotency {
    struct str org_id; /* "": none */
    struct str principal, operation, key;
    struct str request; /* digest of what was sent */
};

/* The key that answers are sealed with. Not in a transaction. As master_key_open(). */
MUST_USE enum result idempotency_seal_key(struct seal_key *out, struct arena *arena, struct db *db);

/* Waits until no other process of this host has it. *fd is the caller's, for close(), which lets
 * it go. ERR_IDEMPOTENCY_BUSY: not until that monotonic time; ERR_SYSTEM. */
MUST_USE enum result idempotency_lock(int *fd, struct arena *arena, const struct idempotency *id,
                                      int64_t until_us);

/* *answer lives in the session's arena. ERR_NOT_FOUND: nothing was done, or longer ago than the
 * row was kept; ERR_IDEMPOTENCY_REUSED: the key was used with another request; ERR_KEY. */
MUST_USE enum result idempotency_find(struct bytes *answer, struct db *db,
                                      const struct idempotency *id, const struct seal_key *key);
/* In the transaction that the answer tells of. Removes IDEMPOTENCY_SWEEP expired rows.
 * ERR_DATABASE_RETRY: it was answered meanwhile, so roll back and look again;
 * ERR_IDEMPOTENCY_BUSY: another host is still at it. */
MUST_USE enum result idempotency_store(struct db *db, const struct idempotency *id,
                                       const struct seal_key *key, struct bytes answer,
                                       int64_t term_us);

#endif
