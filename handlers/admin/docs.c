/* docs.c - the API's own description (domain system, 3). */
#include "handlers/handler.h"

#include "common/base/buf.h"

static enum result openapi_get(struct request *r)
{
    CLEANUP(buf_free) struct buf out = { 0 };

    openapi_write(&out);
    return reply_text(r, 200, "application/json", arena_str(r->arena, buf_view(&out)));
}

const struct route docs_routes[] = {
    { ROUTE(GET, "/api/v1/openapi.json", openapi_get), .alias = { "/api/v1/openapi" },
      .public = true, .no_database = true, .reply_type = "application/json", .tag = "System",
      .doc = "This document" },
    { 0 },
};
