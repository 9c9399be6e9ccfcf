/* setting_name.h - names of settings that are not in settings.def: names.def has the rows. */
#ifndef ARAGORA_SETTING_NAME_H
#define ARAGORA_SETTING_NAME_H

#include "common/base/settings.h"

/* The n-th other name of a setting; NULL: it has no more. */
const char *setting_other_name(enum setting setting, size_t n);
bool setting_by_other_name(enum setting *out, struct str name);

/* Warns of a name that no setting has, if names.def has it, it begins like ours or is meant for
 * us, as in a file of ours. Returns
 * the name if it is refused in production, else NULL. */
const char *setting_stranger(struct str name, struct str value, bool meant);

#endif
