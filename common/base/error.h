/* error.h - what a result means to a client and to the log; read from errors.def. */
#ifndef ARAGORA_ERROR_H
#define ARAGORA_ERROR_H

#include "common/base/base.h"

struct error_row {
    const char *name; /* as in the enum, without ERR_ */
    int status;       /* HTTP */
    const char *code;
    const char *code_v2;
    int level; /* enum log_level */
    const char *message;
};

/* Never NULL; OK and DONE give a row of status 200. */
const struct error_row *error_row(enum result result);

#endif
