/* path.h - the one form of a path that routes are looked up by (http.md 2.1). */
#ifndef ARAGORA_PATH_H
#define ARAGORA_PATH_H

#include "common/base/arena.h"

/* decoded: SCRIPT_NAME + PATH_INFO, which every web server decodes its own way; raw_uri:
 * REQUEST_URI, the only place where an encoded slash or NUL still shows. *out has single
 * slashes and no slash at its end. ERR_INVALID_PATH: control bytes, bad UTF-8, a "." or ".."
 * segment, %2F, %00. */
MUST_USE enum result path_normalise(struct str *out, struct arena *arena, struct str decoded,
                                    struct str raw_uri);

#endif
