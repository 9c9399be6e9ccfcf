/* registries.c - every family of routes; a new family is one line here. */
#include "handlers/handler.h"

extern const struct route health_routes[];
extern const struct route metrics_routes[];
extern const struct route docs_routes[];
extern const struct route debate_routes[];
extern const struct route fork_routes[];
extern const struct route receipt_routes[];

const struct route *const route_tables[] = {
    /* clang-format off */
    health_routes,
    metrics_routes,
    docs_routes,
    debate_routes,
    fork_routes,
    receipt_routes,
    /* clang-format on */
    NULL,
};
