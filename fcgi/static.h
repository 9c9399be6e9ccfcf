/* static.h - the files of a built front end, for paths that no route has (http.md 13). */
#ifndef ARAGORA_STATIC_H
#define ARAGORA_STATIC_H

#include "handlers/handler.h"

/* The row of every GET outside /api/ that no family claims; in no table, since it is no operation
 * of the API. */
extern const struct route static_route;

#endif
