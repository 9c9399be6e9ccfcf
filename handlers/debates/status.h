/* status.h - the states of a debate in the words of the wire. */
#ifndef ARAGORA_DEBATES_STATUS_H
#define ARAGORA_DEBATES_STATUS_H

#include "common/base/base.h"

/* Of a stored state; most are the same. */
struct str debate_status_word(struct str stored);

#endif
