/* debate_receipt.h - what a receipt says of a debate. */
#ifndef ARAGORA_DEBATE_RECEIPT_H
#define ARAGORA_DEBATE_RECEIPT_H

#include "debated/debate_run.h"

struct decision {
    struct str method, answer;
    size_t
        preferred; /* whose proposal that is, or the votes prefer to a judge's; else not a place */
    struct list absent; /* of struct absence */
};

/* In the last transaction. *out lives in run->scratch. */
MUST_USE enum result debate_receipt(struct receipt_row *out, struct run *run,
                                    const struct decision *decision);

#endif
