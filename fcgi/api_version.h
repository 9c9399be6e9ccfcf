/* api_version.h - which version of the API a request speaks, and what its answer says of that
 * (http.md 2.2, 12). */
#ifndef ARAGORA_API_VERSION_H
#define ARAGORA_API_VERSION_H

#include "handlers/handler.h"

/* Sets r->version and r->legacy from r->path and the headers. *rest: the path behind the version
 * that it names, STR_NONE if it names none. true: a header names the version. */
bool api_version_read(struct str *rest, struct request *r);

/* Version headers, and for v1 what says that it ends: when, and where the same is in v2. */
void api_version_headers(struct request *r);

/* ERR_SUNSET: v1 has ended, and ARAGORA_BLOCK_SUNSET_ENDPOINTS closes it. */
MUST_USE enum result api_version_check(struct request *r);

/* "warning", "critical" in the last 30 days, "sunset" from the day on. */
struct str api_deprecation_level(struct utc now);

#endif
