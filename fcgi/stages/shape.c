/* shape.c - the headers that every answer carries, errors included (http.md 5, 9, 12). */
#include "common/auth/origin.h"
#include "common/base/settings.h"
#include "fcgi/api_version.h"
#include "fcgi/pipeline.h"

static const struct response_header cors[] = {
    { "Access-Control-Allow-Methods", STR("GET, POST, PUT, DELETE, PATCH, OPTIONS") },
    { "Access-Control-Allow-Headers",
      STR("Content-Type, X-Filename, Authorization, Accept, Origin, X-Requested-With, X-API-Version,"
          " X-Request-ID, X-Trace-ID, traceparent, X-Workspace-ID, X-Tenant-ID, X-Org-ID,"
          " X-CSRF-Token, X-API-Key, Idempotency-Key, If-None-Match, X-MFA-Code") },
    { "Access-Control-Expose-Headers",
      STR("X-Trace-ID, X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset,"
          " Retry-After, X-API-Version, Sunset, Deprecation, ETag, Idempotent-Replay") },
    { "Access-Control-Max-Age", STR("3600") },
    { "Vary", STR("Origin") },
};

static const struct response_header security[] = {
    { "X-Frame-Options", STR("DENY") },
    { "X-Content-Type-Options", STR("nosniff") },
    { "X-XSS-Protection", STR("1; mode=block") },
    { "Referrer-Policy", STR("strict-origin-when-cross-origin") },
    { "Content-Security-Policy",
      STR("default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'"
          " data: https:; connect-src 'self' wss: https:; font-src 'self' data:;"
          " frame-ancestors 'none'") },
};

static const struct response_header hsts[] = {
    { "Strict-Transport-Security", STR("max-age=31536000; includeSubDomains") },
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

void shape_answer(struct request *r)
{
    reply_header(r, "X-Request-ID", r->request_id);
    reply_header(r, "X-Trace-ID", r->trace_id);
    reply_header(r, "X-Span-ID", r->span_id);
    if (r->parent_span.at)
        reply_header(r, "X-Parent-Span-ID", r->parent_span);
    api_version_headers(r);
    shape_cors(r);
    response_defaults(r->response, security, COUNT(security));
    if (wants_hsts())
        response_defaults(r->response, hsts, COUNT(hsts));
}
