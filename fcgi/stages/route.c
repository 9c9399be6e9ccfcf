/* route.c - which row answers a path, in which version of the API (http.md 2). */
#include "fcgi/path.h"
#include "fcgi/pipeline.h"
#include "fcgi/route_index.h"
#include "fcgi/static.h"

#include <ctype.h>

#define ALLOW_TEXT 80

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
    size_t at;

    for (int v = 0; v < 2; v++)
        for (size_t i = 0; i < COUNT(words[v]); i++)
            if (str_is(sent, words[v][i]))
                return v + 1;
    if (str_find(&at, header(r, "accept"), STR("vnd.aragora.v1")))
        return 1;
    return str_find(&at, header(r, "accept"), STR("vnd.aragora.v2")) ? 2 : 0;
}

/* Sets the version of the request. *unversioned: the path without the one that it names. */
static void read_version(struct str *unversioned, struct request *r)
{
    int in_path = path_version(unversioned, r->path);
    int asked = in_path ? in_path : header_version(r);

    r->version = asked ? asked : str_starts(r->path, STR("/api/")) ? 1 : 2;
}

/* Where the path as sent finds nothing: without a version that no row has (/api/v9/x), or with
 * the one that its sender left out (http.md 2.2). STR_NONE: it has no other form. */
static struct str other_form(struct request *r, struct str unversioned)
{
    if (unversioned.at)
        return arena_printf(r->arena, "/api" STR_FMT, STR_ARG(unversioned));
    if (!str_starts(r->path, STR("/api/")))
        return STR_NONE;
    return arena_printf(r->arena, "/api/v%d" STR_FMT, r->version,
                        STR_ARG(str_slice(r->path, 4, r->path.len)));
}

static enum result refuse_method(struct request *r)
{
    struct str name = exchange_of(r) ? exchange_param(exchange_of(r), "REQUEST_METHOD") : STR_NONE;

    if (!str_is_text(name))
        return refuse(r, ERR_METHOD_UNKNOWN);
    return refuse(r, ERR_METHOD_UNKNOWN,
                  .message = arena_printf(r->arena, "Unsupported method ('%.*s')",
                                          STR_ARG(str_cut(name, 32))));
}

/* Files of the front end live beside the API. */
static bool may_be_file(const struct request *r)
{
    return r->method == METHOD_GET && !str_is(r->path, "/api") &&
           !str_starts(r->path, STR("/api/"));
}

static enum result find(struct request *r)
{
    const struct route_index *routes = worker_routes(exchange_of(r)->worker);
    struct str unversioned = STR_NONE, other;
    unsigned allowed = 0, more = 0;
    char text[ALLOW_TEXT];

    read_version(&unversioned, r);
    if (route_find(&r->route, &allowed, r->params, routes, r->method, r->path))
        return OK;
    other = other_form(r, unversioned);
    if (other.at && route_find(&r->route, &more, r->params, routes, r->method, other))
        return OK;
    allowed |= more;
    if (!allowed && may_be_file(r)) {
        r->route = &static_route;
        return OK;
    }
    if (!allowed)
        return refuse(r, ERR_NO_ROUTE,
                      .message =
                          arena_printf(r->arena, "API endpoint not found: %.*s", STR_ARG(r->path)));
    size_t len = allow_header(text, sizeof(text), allowed);
    reply_header(r, "Allow", (struct str){ text, len });
    return refuse(r, ERR_METHOD);
}

/* Every web server cuts it in two at another place (RFC 3875 4.1.5, 4.1.13), most in front. */
static struct str decoded_path(const struct request *r)
{
    struct str script = exchange_param(exchange_of(r), "SCRIPT_NAME");
    struct str info = exchange_param(exchange_of(r), "PATH_INFO");

    if (!script.len || !info.len)
        return script.len ? script : info;
    char *path = arena_alloc(r->arena, script.len + info.len);
    memcpy(path, script.at, script.len);
    memcpy(path + script.len, info.at, info.len);
    return (struct str){ path, script.len + info.len };
}

enum result stage_route(struct request *r)
{
    if (r->method == METHOD_COUNT)
        return refuse_method(r);
    TRY(path_normalise(&r->path, r->arena, decoded_path(r),
                       exchange_param(exchange_of(r), "REQUEST_URI")));
    TRY(find(r));
    if (r->route->timeout_s)
        r->deadline_us = r->received_us + r->route->timeout_s * US_PER_S;
    return OK;
}
