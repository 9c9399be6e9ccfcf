/* startup.h - what aragora serve checks of the settings, taken together, before it starts. */
#ifndef ARAGORA_STARTUP_H
#define ARAGORA_STARTUP_H

#include "common/base/base.h"

/* Says on standard error what is wrong or doubtful. false: it must not start: a setting cannot be
 * kept or, with ARAGORA_STRICT_STARTUP, something is wrong that it could start with. */
MUST_USE bool startup_good(void);

#endif
