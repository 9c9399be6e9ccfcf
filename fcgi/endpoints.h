/* endpoints.h - under which endpoint of the metrics the answers of a route count. */
#ifndef ARAGORA_ENDPOINTS_H
#define ARAGORA_ENDPOINTS_H

#include "common/base/segment.h"
#include "handlers/handler.h"

struct endpoints;

/* Finds or takes every row's place in the segment. tables: ends with NULL. Lives in the arena. */
struct endpoints *endpoints_new(struct arena *arena, struct segment *segment,
                                const struct route *const *tables);
/* route: a row, or NULL; ENDPOINT_OTHER for one that stands in no table. */
size_t endpoint_of(const struct endpoints *endpoints, const struct route *route);

#endif
