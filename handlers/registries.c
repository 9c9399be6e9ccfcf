/* registries.c - every family of routes; a new family is one line here. */
#include "common/base/settings.h"
#include "handlers/handler.h"

extern const struct route health_routes[];
extern const struct route metrics_routes[];
extern const struct route docs_routes[];
extern const struct route debate_routes[];
extern const struct route debate_v2_routes[];
extern const struct route fork_routes[];
extern const struct route receipt_routes[];

/* clang-format off */
#define FAMILIES \
    health_routes, \
    metrics_routes, \
    docs_routes, \
    debate_routes, \
    fork_routes, \
    receipt_routes
/* clang-format on */

static const struct route *const version_1[] = { FAMILIES, NULL };
static const struct route *const version_2[] = { FAMILIES, debate_v2_routes, NULL };

const struct route *const *route_tables = version_1;

void route_tables_choose(void)
{
    route_tables = setting_flag(SETTING_FASTAPI) ? version_2 : version_1;
}
