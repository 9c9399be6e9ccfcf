/* engine.h - runs one debate to its end, or to where its runner is lost. */
#ifndef ARAGORA_ENGINE_H
#define ARAGORA_ENGINE_H

#include "common/store/job.h"
#include "common/store/receipts.h"
#include "debated/agent.h"

#include <stdatomic.h>

struct engine_options {
    struct agent_settings agents;
    int64_t limit_us; /* of the whole debate, from its first start */
    const struct receipt_signers *signers;
    const atomic_bool *stop; /* set: give up at the next step; NULL: never */
    int64_t writes_left;     /* a test's: the lease is lost after so many; 0: never */
};

/* OK: the debate ended, whatever its outcome. ERR_LEASE_LOST: another runner has it.
 * ERR_UNAVAILABLE: stopped as asked; ERR_DATABASE*: for both, the next claim goes on. */
MUST_USE enum result engine_run(struct db *db, const struct job *job,
                                const struct engine_options *options);
/* Ends a debate that cannot go on as an error, with its reason; it gets no receipt. */
MUST_USE enum result engine_fail(struct db *db, const struct job *job, struct str reason);

#endif
