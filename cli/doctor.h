/* doctor.h - what aragora doctor finds, and the part of it that asks the model providers. */
#ifndef ARAGORA_DOCTOR_H
#define ARAGORA_DOCTOR_H

#include "common/base/arena.h"

enum health {
    GOOD,
    DOUBTFUL, /* not as it may be wanted, but nothing that was asked for is amiss */
    BAD,      /* something is not there */
    FAILING,  /* it is there and does not do */
};

struct finding {
    enum health health;
    struct str what; /* what was found */
    struct str mend; /* a command or a setting; STR_NONE: nothing to do */
};

/* Asks every provider that the settings allow for its models, all at once; of struct finding. No
 * key and no user of an address is in them. Takes up to 8 seconds. */
struct list doctor_providers(struct arena *arena);

#endif
