/* route.c - which row answers a path, in which version of the API (http.md 2). */
#include "fcgi/api_version.h"
#include "fcgi/path.h"
#include "fcgi/pipeline.h"
#include "fcgi/route_index.h"
#include "fcgi/static.h"

#define ALLOW_TEXT 80

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
static bool outside_api(struct str path)
{
    return !str_is(path, "/api") && !str_starts(path, STR("/api/"));
}

static bool look_up(struct request *r, struct str path, unsigned *allowed)
{
    const struct route_index *routes = worker_routes(exchange_of(r)->worker);
    unsigned more = 0;
    bool found = path.at && route_find(&r->route, &more, r->params, routes, r->method, path);

    *allowed |= more;
    return found;
}

/* "/x" with the version that its sender left out or gave in a header. */
static struct str versioned(struct request *r)
{
    if (!str_starts(r->path, STR("/api/")))
        return STR_NONE;
    return arena_printf(r->arena, "/api/v%d" STR_FMT, r->version,
                        STR_ARG(str_slice(r->path, 4, r->path.len)));
}

/* The path as sent, unless a header asks for another version of it; then without a version that no
 * row has (/api/v9/x), or with the one that is meant (http.md 2.2). false: *allowed are the methods
 * of all that it may mean. */
static bool find_row(struct request *r, unsigned *allowed)
{
    struct str unversioned;

    if (api_version_read(&unversioned, r))
        return look_up(r, versioned(r), allowed) || look_up(r, r->path, allowed);
    if (look_up(r, r->path, allowed))
        return true;
    if (unversioned.at)
        unversioned = arena_printf(r->arena, "/api" STR_FMT, STR_ARG(unversioned));
    return look_up(r, unversioned.at ? unversioned : versioned(r), allowed);
}

static enum result refuse_path(struct request *r)
{
    if (r->method == METHOD_GET)
        return refuse(r, ERR_NO_ROUTE,
                      .message = arena_printf(r->arena, "API endpoint not found: " STR_FMT,
                                              STR_ARG(r->path)));
    return refuse(r, ERR_NO_ROUTE,
                  .message = arena_printf(r->arena, "Unknown " STR_FMT " endpoint: " STR_FMT,
                                          STR_ARG(exchange_param(exchange_of(r), "REQUEST_METHOD")),
                                          STR_ARG(r->path)));
}

static void allow(struct request *r, unsigned methods)
{
    char text[ALLOW_TEXT];
    size_t len = allow_header(text, sizeof(text), methods);

    reply_header(r, "Allow", (struct str){ text, len });
}

static enum result find(struct request *r)
{
    unsigned allowed = 0;

    if (find_row(r, &allowed))
        return api_version_check(r);
    if (!allowed && r->method == METHOD_GET && outside_api(r->path)) {
        r->route = &static_route;
        return OK;
    }
    if (!allowed)
        return refuse_path(r);
    allow(r, allowed);
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

static enum result read_path(struct request *r)
{
    struct str decoded = decoded_path(r);

    if (path_normalise(&r->path, r->arena, decoded,
                       exchange_param(exchange_of(r), "REQUEST_URI")) == OK)
        return OK;
    if (!str_is_text(decoded))
        return ERR_INVALID_PATH;
    return refuse(r, ERR_INVALID_PATH, .message = STR("Path traversal not allowed"));
}

void route_options(struct request *r)
{
    unsigned allowed = 0;

    if (read_path(r) != OK)
        return;
    r->method = METHOD_COUNT;
    if (!find_row(r, &allowed) && !allowed && outside_api(r->path))
        allowed = 1U << METHOD_GET; /* of a file */
    allow(r, allowed);
}

enum result stage_route(struct request *r)
{
    if (r->method == METHOD_COUNT)
        return refuse_method(r);
    TRY(read_path(r));
    TRY(find(r));
    if (r->route->timeout_s)
        deadline_set(r, r->route->timeout_s);
    return OK;
}
