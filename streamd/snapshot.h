/* snapshot.h - a loop as it stands, made from its journal: the data of sync (streaming.md 8.1).
 *
 * Events up to a seq never change, so the snapshot is exactly what they tell, whatever is being
 * committed meanwhile. */
#ifndef ARAGORA_STREAMD_SNAPSHOT_H
#define ARAGORA_STREAMD_SNAPSHOT_H

#include "common/store/stream.h"

/* sync: the members of sync.data, without braces; start: the data of a debate_start for who
 * joins late, STR_NONE if the loop has ended. Both live in the session's arena. */
MUST_USE enum result snapshot_read(struct str *sync, struct str *start, struct db *db,
                                   struct str loop_id, const struct loop_state *state);

#endif
