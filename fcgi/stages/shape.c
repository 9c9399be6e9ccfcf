/* shape.c - the headers that every answer carries, errors included (http.md 5, 9, 12). */
#include "common/auth/origin.h"
#include "common/base/settings.h"
#include "fcgi/pipeline.h"

struct fixed {
    const char *name, *value;
};

static const struct fixed cors[] = {
    { "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, PATCH, OPTIONS" },
    { "Access-Control-Allow-Headers",
      "Content-Type, X-Filename, Authorization, Accept, Origin, X-Requested-With, X-API-Version,"
      " X-Request-ID, X-Trace-ID, traceparent, X-Workspace-ID, X-Tenant-ID, X-Org-ID,"
      " X-CSRF-Token, X-API-Key, Idempotency-Key, If-None-Match, X-MFA-Code" },
    { "Access-Control-Expose-Headers",
      "X-Trace-ID, X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset,"
      " Retry-After, X-API-Version, Sunset, Deprecation, ETag" },
    { "Access-Control-Max-Age", "3600" },
    { "Vary", "Origin" },
};

static const struct fixed security[] = {
    { "X-Frame-Options", "DENY" },
    { "X-Content-Type-Options", "nosniff" },
    { "X-XSS-Protection", "1; mode=block" },
    { "Referrer-Policy", "strict-origin-when-cross-origin" },
    { "Content-Security-Policy",
      "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'"
      " data: https:; connect-src 'self' wss: https:; font-src 'self' data:;"
      " frame-ancestors 'none'" },
};

static void add(struct request *r, const struct fixed *headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        response_header_default(r, headers[i].name, str_from(headers[i].value));
}

void shape_cors(struct request *r)
{
    struct str origin = header(r, "origin");

    if (origin_allowed(origin)) {
        reply_header(r, "Access-Control-Allow-Origin", origin);
        reply_header(r, "Access-Control-Allow-Credentials", STR("true"));
    }
    add(r, cors, COUNT(cors));
}

void shape_answer(struct request *r)
{
    bool hsts = setting_given(SETTING_HSTS) ? setting_flag(SETTING_HSTS) : setting_production();

    response_header_default(r, "X-API-Version", r->version == 2 ? STR("v2") : STR("v1"));
    shape_cors(r);
    add(r, security, COUNT(security));
    if (hsts)
        response_header_default(r, "Strict-Transport-Security",
                                STR("max-age=31536000; includeSubDomains"));
    reply_header(r, "X-Request-ID", r->request_id);
    reply_header(r, "X-Trace-ID", r->trace_id);
    reply_header(r, "X-Span-ID", r->span_id);
    if (r->parent_span.at)
        reply_header(r, "X-Parent-Span-ID", r->parent_span);
}
