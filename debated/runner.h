/* runner.h - claims debates, keeps their leases, and takes over those of dead runners. */
#ifndef ARAGORA_RUNNER_H
#define ARAGORA_RUNNER_H

#include "common/store/receipts.h"
#include "debated/agent.h"

struct bus;

struct runner_config {
    struct db_config database;
    struct agent_settings agents;
    struct receipt_signers signers;
    int64_t debates_max, debate_limit_us, renew_us;
    int64_t reply_term_us; /* for which providers' replies are kept; 0: for ever */
    struct str directory;  /* of the runners' lock files */
    struct bus *jobs;      /* news of work; NULL: another process hears them */
};

/* Until SIGTERM or SIGINT, which must be blocked in all threads. OK after a clean stop;
 * ERR_SYSTEM, ERR_DATABASE: it could not begin. */
MUST_USE enum result runner_serve(const struct runner_config *config);

#endif
