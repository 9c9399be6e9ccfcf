/* authorise.c - denies by default: a row needs a permission, or says that it needs none. */
#include "common/base/buf.h"
#include "fcgi/pipeline.h"

static enum result refuse_permission(struct request *r, struct str permission)
{
    return refuse(r, ERR_FORBIDDEN,
                  .details.text = arena_printf(r->arena, "{\"required_permission\":\"%.*s\"}",
                                               STR_ARG(permission)));
}

enum result stage_authorise(struct request *r)
{
    const struct route *route = r->route;

    if (route->public || (route->signed_in && r->who.credential != CREDENTIAL_NONE))
        return OK;
    if (!route->permission)
        return ERR_FORBIDDEN;
    if (principal_may(&r->who, str_from(route->permission)))
        return OK;
    return refuse_permission(r, str_from(route->permission));
}
