/* api_version.c - v1 answers as v2 does, and says that it will go.
 *
 * Every row under /api/v1/ answers under /api/v2/ too (route_index.h), so the same path there is
 * the successor of each. Decision 37: one set of headers for endpoints and errors. */
#include "fcgi/api_version.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/settings.h"
#include "common/base/version.h"
#include "fcgi/response.h"

#include <ctype.h>

#define SUNSET_DAY  "2026-06-01"
#define SUNSET_DATE "Mon, 01 Jun 2026 00:00:00 GMT"
#define SUNSET_US   (INT64_C(1780272000) * US_PER_S)
#define CRITICAL_US (INT64_C(30) * 24 * 3600 * US_PER_S)

/* "/api/v2/x" gives 2 and "/x"; 0: no version stands in the path. */
static int path_version(struct str *rest, struct str path)
{
    size_t i = 6;
    int64_t version;

    if (!str_starts(path, STR("/api/v")))
        return 0;
    while (i < path.len && isdigit((unsigned char)path.at[i]))
        i++;
    if ((i < path.len && path.at[i] != '/') ||
        !str_int(&version, str_slice(path, 6, i), 0, 1000000))
        return 0;
    *rest = str_slice(path, i, path.len);
    return version == 1 ? 1 : 2; /* a version that we do not know is the current one */
}

/* X-API-Version: 1, v1, V1, 1.0; Accept: ...vnd.aragora.v1... 0: not asked for. */
static int header_version(const struct request *r)
{
    static const char *const words[][4] = { { "1", "v1", "V1", "1.0" },
                                            { "2", "v2", "V2", "2.0" } };
    struct str sent = str_trim(header(r, "x-api-version"));
    struct str accept = header(r, "accept");
    size_t at;

    for (int v = 0; v < 2; v++)
        for (size_t i = 0; i < COUNT(words[v]); i++)
            if (str_is(sent, words[v][i]))
                return v + 1;
    if (str_find(&at, accept, STR("vnd.aragora.v1")))
        return 1;
    return str_find(&at, accept, STR("vnd.aragora.v2")) ? 2 : 0;
}

static bool is_api(struct str path)
{
    return str_starts(path, STR("/api/"));
}

bool api_version_read(struct str *rest, struct request *r)
{
    int in_path, asked;

    *rest = STR_NONE;
    in_path = path_version(rest, r->path);
    asked = in_path ? in_path : header_version(r);
    r->legacy = !asked && is_api(r->path);
    r->version = asked ? asked : r->legacy ? 1 : 2;
    return asked && !in_path;
}

struct str api_deprecation_level(struct utc now)
{
    if (now.us >= SUNSET_US)
        return STR("sunset");
    return now.us >= SUNSET_US - CRITICAL_US ? STR("critical") : STR("warning");
}

/* What may stand in a path as it is (RFC 3986 3.3). */
static bool plain(unsigned char c)
{
    return isalnum(c) || (c && strchr("/-._~!$&'()*+,;=:@", c));
}

/* Under the public URL, which may be in a folder of a site. */
static struct str successor(const struct request *r)
{
    struct buf *out = arena_buf(r->arena);
    struct str base = setting_str(SETTING_PUBLIC_URL), rest = STR_NONE;

    if (!path_version(&rest, r->path))
        rest = str_slice(r->path, 4, r->path.len);
    if (str_ends(base, STR("/")))
        base = str_slice(base, 0, base.len - 1);
    buf_str(out, base);
    buf_str(out, STR("/api/v2"));
    for (size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char)rest.at[i];

        if (plain(c))
            buf_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
    return buf_view(out);
}

static bool tells_of_the_end(const struct request *r)
{
    return r->version == 1 && r->path.at && !setting_flag(SETTING_V1_SILENT);
}

void api_version_headers(struct request *r)
{
    static const struct response_header ours[] = {
        { STR("X-API-Release"), STR(ARAGORA_VERSION) },
        { STR("X-API-Supported-Versions"), STR("v1,v2") },
    };
    static const struct response_header ending[] = {
        { STR("X-API-Deprecated"), STR("true") },
        { STR("X-API-Sunset"), STR(SUNSET_DAY) },
        { STR("Sunset"), STR(SUNSET_DATE) },
        { STR("Deprecation"), STR("true") },
    };
    static const struct response_header legacy[] = {
        { STR("X-API-Legacy"), STR("true") },
        { STR("X-API-Migration"), STR("Use /api/v2/ prefix for versioned endpoints") },
    };
    const struct response_header version = { STR("X-API-Version"),
                                             r->version == 2 ? STR("v2") : STR("v1") };

    response_defaults(r->response, &version, 1);
    response_defaults(r->response, ours, COUNT(ours));
    if (!tells_of_the_end(r))
        return;
    if (r->legacy)
        response_defaults(r->response, legacy, COUNT(legacy));
    response_defaults(r->response, ending, COUNT(ending));
    reply_header(r, "X-Deprecation-Level", api_deprecation_level(utc_now()));
    if (is_api(r->path))
        reply_header(r, "Link",
                     arena_printf(r->arena, "<" STR_FMT ">; rel=\"successor-version\"",
                                  STR_ARG(successor(r))));
}

/* Probes go on: who watches a server is not a client of its API. */
enum result api_version_check(struct request *r)
{
    if (r->version != 1 || r->legacy || r->route->limit == LIMIT_NONE ||
        !setting_flag(SETTING_BLOCK_SUNSET) || utc_now().us < SUNSET_US)
        return OK;
    return refuse(r, ERR_SUNSET, .message = STR("API v1 has ended on " SUNSET_DAY),
                  .suggestion = arena_printf(r->arena, "Use " STR_FMT, STR_ARG(successor(r))));
}
