/* debate_receipt.h - what a receipt says of a debate. */
#ifndef ARAGORA_DEBATE_RECEIPT_H
#define ARAGORA_DEBATE_RECEIPT_H

#include "debated/debate_run.h"

/* In the last transaction. answerer: whose proposal the answer is; run->count: nobody's.
 * *out lives in run->scratch. */
MUST_USE enum result debate_receipt(struct receipt_row *out, struct run *run, size_t answerer);

#endif
