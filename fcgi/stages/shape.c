/* shape.c - the headers that every answer carries, errors included (http.md 5, 9, 12). */
#include "common/auth/origin.h"
#include "common/base/buf.h"
#include "common/base/crypto.h"
#include "common/base/settings.h"
#include "fcgi/api_version.h"
#include "fcgi/pipeline.h"

static const struct response_header cors[] = {
    { STR("Access-Control-Allow-Methods"), STR("GET, POST, PUT, DELETE, PATCH, OPTIONS") },
    { STR("Access-Control-Allow-Headers"),
      STR("Content-Type, X-Filename, Authorization, Accept, Origin, X-Requested-With, X-API-Version,"
          " X-Request-ID, X-Trace-ID, traceparent, X-Workspace-ID, X-Tenant-ID, X-Org-ID,"
          " X-CSRF-Token, X-API-Key, Idempotency-Key, If-None-Match, X-MFA-Code") },
    { STR("Access-Control-Expose-Headers"),
      STR("X-Trace-ID, X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset,"
          " Retry-After, X-API-Version, Sunset, Deprecation, ETag, Idempotent-Replay") },
    { STR("Access-Control-Max-Age"), STR("3600") },
    { STR("Vary"), STR("Origin") },
};

static const struct {
    struct str name;
    enum setting setting;
} security[] = {
    { STR("X-Frame-Options"), SETTING_FRAME_OPTIONS },
    { STR("X-Content-Type-Options"), SETTING_CONTENT_TYPE_OPTIONS },
    { STR("X-XSS-Protection"), SETTING_XSS_PROTECTION },
    { STR("Referrer-Policy"), SETTING_REFERRER_POLICY },
    { STR("Content-Security-Policy"), SETTING_CSP },
    { STR("Strict-Transport-Security"), SETTING_HSTS_VALUE },
};

/* What no answer says else about being kept: it is somebody's, or changes (http.md 6.5). */
static const struct response_header not_kept[] = {
    { STR("Cache-Control"), STR("no-store, no-cache, must-revalidate, max-age=0") },
    { STR("Pragma"), STR("no-cache") },
    { STR("Expires"), STR("0") },
};

void shape_cors(struct request *r)
{
    struct str origin = header(r, "origin");

    if (origin_allowed(origin)) {
        reply_header(r, "Access-Control-Allow-Origin", origin);
        reply_header(r, "Access-Control-Allow-Credentials", STR("true"));
    }
    response_defaults(r->response, cors, COUNT(cors));
}

static bool wants_hsts(void)
{
    return setting_given(SETTING_HSTS) ? setting_flag(SETTING_HSTS) : setting_production();
}

static void shape_security(struct request *r)
{
    struct response_header all[COUNT(security)];
    size_t count = COUNT(security) - !wants_hsts(); /* the last */

    if (!setting_flag(SETTING_SECURITY_HEADERS))
        return;
    for (size_t i = 0; i < count; i++)
        all[i] = (struct response_header){ security[i].name, setting_str(security[i].setting) };
    response_defaults(r->response, all, count);
}

/* 304 for what the client has. The hash costs 2 us for 3 KB, so only rows that are asked again and
 * again for what seldom changes want it. */
static void shape_etag(struct request *r)
{
    struct response *response = r->response;

    if (response->status != 200 || !r->route || !r->route->etag)
        return;
    struct str etag = arena_printf(r->arena, "\"%.16s\"", sha256_hex(r->arena, response->body).at);
    reply_header(r, "ETag", etag);
    if (!etag_known(header(r, "if-none-match"), etag))
        return;
    response->status = 304;
    response->type = NULL;
    response->body = STR("");
}

void shape_answer(struct request *r)
{
    shape_etag(r);
    reply_header(r, "X-Request-ID", r->request_id);
    reply_header(r, "X-Trace-ID", r->trace_id);
    reply_header(r, "X-Span-ID", r->span_id);
    if (r->parent_span.at)
        reply_header(r, "X-Parent-Span-ID", r->parent_span);
    api_version_headers(r);
    shape_cors(r);
    shape_security(r);
    if (!response_has(r->response, "Cache-Control"))
        response_defaults(r->response, not_kept, COUNT(not_kept));
}
