/* route_index.h - from method and path to the row.
 *
 * One hash lookup for a literal path; for a path with parameters one per segment. Position by
 * position from the left a literal beats a parameter, a parameter beats a tail {name*}.
 *
 * A row under /api/v1/ or /api/v2/ answers also under /api/, /api/v1/ and /api/v2/, where no
 * other row claims that path (http.md 2.2, domain debates 0). */
#ifndef ARAGORA_ROUTE_INDEX_H
#define ARAGORA_ROUTE_INDEX_H

#include "handlers/handler.h"

struct route_index;

/* tables: ends with NULL. Aborts on what only a programmer can mend: two rows for one operation,
 * a row that nobody may use, a permission that does not exist. *out is the caller's. */
void route_index_build(struct route_index **out, const struct route *const *tables);
void route_index_free(struct route_index *index); /* NULL is fine */

/* params: borrowed from path, in the order of the braces. false: *allowed has one bit per enum
 * method that the path knows; none: there is no such path. */
MUST_USE bool route_find(const struct route **out, unsigned *allowed, struct str params[PARAMS_MAX],
                         const struct route_index *index, enum method method, struct str path);

/* "DELETE, GET, HEAD, OPTIONS": the methods by name, HEAD with GET, OPTIONS always. */
size_t allow_header(char *out, size_t size, unsigned methods);

#endif
