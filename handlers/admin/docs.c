/* docs.c - the API's own description: documents, pages to read them with, figures (domain
 * system, 3; api_v2, 2).
 *
 * The pages ask for the document beside their own path, so each version's page shows its own. */
#include "handlers/handler.h"

#include "common/base/buf.h"

#include <stdlib.h>

/* --- Documents --------------------------------------------------------------------------- */

static enum result openapi_get(struct request *r)
{
    struct buf *out = arena_buf(r->arena);

    openapi_write(out, OPENAPI_ALL);
    return reply_text(r, 200, "application/json", buf_view(out));
}

static enum result openapi_cached_get(struct request *r)
{
    reply_header(r, "Cache-Control", STR("public, max-age=600"));
    return openapi_get(r);
}

static enum result openapi_v2_get(struct request *r)
{
    struct buf *out = arena_buf(r->arena);

    openapi_write(out, OPENAPI_V2);
    return reply_text(r, 200, "application/json", buf_view(out));
}

static enum result openapi_yaml_get(struct request *r)
{
    struct buf *out = arena_buf(r->arena);

    openapi_write_yaml(out, OPENAPI_ALL);
    return reply_text(r, 200, "application/yaml", buf_view(out));
}

static enum result postman_get(struct request *r)
{
    struct buf *out = arena_buf(r->arena);

    openapi_write_postman(out);
    reply_header(r, "Content-Disposition",
                 STR("attachment; filename=aragora.postman_collection.json"));
    return reply_text(r, 200, "application/json", buf_view(out));
}

/* --- Pages ------------------------------------------------------------------------------- */

/* A new version of the program brings new files under the same names. */
static enum result web_file(struct request *r, const char *name)
{
    reply_header(r, "Cache-Control", STR("no-cache"));
    for (const struct web_file *file = web_files; file->name; file++)
        if (strcmp(file->name, name) == 0)
            return reply_text(r, 200, r->route->reply_type, file->text);
    return ERR_NOT_FOUND;
}

static enum result docs_page(struct request *r)
{
    return web_file(r, "docs.html");
}

static enum result redoc_page(struct request *r)
{
    return web_file(r, "redoc.html");
}

static enum result docs_style(struct request *r)
{
    return web_file(r, "reader.css");
}

static enum result docs_script(struct request *r)
{
    return web_file(r, "reader.js");
}

/* --- Figures ----------------------------------------------------------------------------- */

struct routes_in {
    struct str tag, method;
};

static const struct field routes_in[] = {
    { FIELD(struct routes_in, tag), .max = 100, .doc = "Only operations with this tag" },
    { FIELD(struct routes_in, method), .choices = method_names, .doc = "Only this method" },
    { 0 },
};

/* All operations of a path; the words are the first one's. */
struct told_path {
    struct str path, handler, tag, description;
    struct list methods;
};

static const struct field told_path[] = {
    { FIELD(struct told_path, path), .doc = "With names in braces" },
    { FIELD_TEXTS(struct told_path, methods), .doc = "That it takes" },
    { FIELD(struct told_path, handler), .doc = "operationId of the first" },
    { FIELD(struct told_path, tag), .absent = ABSENT_EMPTY, .doc = "Its family" },
    { FIELD(struct told_path, description), .absent = ABSENT_EMPTY, .doc = "What it does" },
    { 0 },
};

struct routes_out {
    int64_t total;
    struct list routes;
};

static const struct field routes_out[] = {
    { FIELD(struct routes_out, total), .doc = "Paths in the list" },
    { FIELD_LIST(struct routes_out, routes, struct told_path, told_path), .absent = ABSENT_EMPTY,
      .doc = "In the order of their paths" },
    { 0 },
};

static size_t count_routes(void)
{
    size_t count = 0;

    for (const struct route *const *table = route_tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            count++;
    return count;
}

static int by_path(const void *a, const void *b)
{
    const struct route *const *one = a, *const *other = b;
    int order = strcmp((*one)->path, (*other)->path);

    return order ? order
                 : ((*one)->method > (*other)->method) - ((*one)->method < (*other)->method);
}

/* The rows that are asked for, in the order of their paths and methods. in NULL: all. */
static size_t sorted_routes(const struct route ***out, struct request *r,
                            const struct routes_in *in)
{
    const struct route **rows = arena_array(r->arena, count_routes(), sizeof(const struct route *));
    size_t count = 0;

    for (const struct route *const *table = route_tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            if (!in || ((!in->tag.at || str_eq(str_from(route->tag), in->tag)) &&
                        (!in->method.at || str_is(in->method, method_names[route->method]))))
                rows[count++] = route;
    qsort(rows, count, sizeof(const struct route *), by_path);
    *out = rows;
    return count;
}

static enum result docs_routes_get(struct request *r)
{
    const struct route **rows;
    size_t count = sorted_routes(&rows, r, r->input);
    struct told_path *paths = arena_array(r->arena, count, sizeof(*paths));
    struct str *names = arena_array(r->arena, count, sizeof(*names));
    struct routes_out out = { .routes.at = paths };

    for (size_t i = 0; i < count; i++) {
        names[i] = str_from(method_names[rows[i]->method]);
        if (i == 0 || strcmp(rows[i]->path, rows[i - 1]->path) != 0)
            paths[out.routes.count++] = (struct told_path){ .path = str_from(rows[i]->path),
                                                            .handler = str_from(rows[i]->id),
                                                            .tag = str_from(rows[i]->tag),
                                                            .description = str_from(rows[i]->doc),
                                                            .methods.at = &names[i] };
        paths[out.routes.count - 1].methods.count++;
    }
    out.total = (int64_t)out.routes.count;
    return reply(r, &out);
}

struct told_tag {
    struct str tag;
    int64_t count;
};

static const struct field told_tag[] = {
    { FIELD(struct told_tag, tag), .doc = "A family" },
    { FIELD(struct told_tag, count), .doc = "Its operations" },
    { 0 },
};

struct by_method {
    int64_t counts[METHOD_COUNT];
};

#define BY_METHOD(word)                                                                            \
    {                                                                                              \
        .name = #word, .offset = offsetof(struct by_method, counts[METHOD_##word]),                \
        .type = FIELD_INT, .doc = "Operations"                                                     \
    }
static const struct field by_method[] = {
    BY_METHOD(GET), BY_METHOD(POST), BY_METHOD(PUT), BY_METHOD(PATCH), BY_METHOD(DELETE), { 0 },
};

struct stats_out {
    int64_t total_endpoints, total_paths;
    struct by_method by_method;
    struct list by_tag;
};

static const struct field stats_out[] = {
    { FIELD(struct stats_out, total_endpoints), .doc = "Operations" },
    { FIELD(struct stats_out, total_paths), .doc = "Paths, without aliases" },
    { FIELD_INSIDE(struct stats_out, by_method, by_method), .doc = "Operations of each method" },
    { FIELD_LIST(struct stats_out, by_tag, struct told_tag, told_tag), .absent = ABSENT_EMPTY,
      .doc = "Operations of each family, most first" },
    { 0 },
};

static int by_count(const void *a, const void *b)
{
    const struct told_tag *one = a, *other = b;

    return (one->count < other->count) - (one->count > other->count);
}

static void count_tag(struct list *tags, struct str tag)
{
    struct told_tag *told = tags->at;
    size_t i = 0;

    while (i < tags->count && !str_eq(told[i].tag, tag))
        i++;
    if (i == tags->count)
        told[tags->count++].tag = tag;
    told[i].count++;
}

static enum result docs_stats_get(struct request *r)
{
    const struct route **rows;
    size_t count = sorted_routes(&rows, r, NULL);
    struct stats_out out = { .total_endpoints = (int64_t)count };

    out.by_tag.at = arena_array(r->arena, count, sizeof(struct told_tag));
    for (size_t i = 0; i < count; i++) {
        out.total_paths += i == 0 || strcmp(rows[i]->path, rows[i - 1]->path) != 0;
        out.by_method.counts[rows[i]->method]++;
        if (rows[i]->tag)
            count_tag(&out.by_tag, str_from(rows[i]->tag));
    }
    qsort(out.by_tag.at, out.by_tag.count, sizeof(struct told_tag), by_count);
    return reply(r, &out);
}

#define DOCUMENT .public = true, .etag = true, .no_database = true, .tag = "System"

const struct route docs_routes[] = {
    { ROUTE(GET, "/api/v1/openapi.json", openapi_get), .alias = { "/api/v1/openapi" }, DOCUMENT,
      .stability = STABLE, .reply_type = "application/json", .doc = "This document" },
    { ROUTE(GET, "/api/v1/openapi.yaml", openapi_yaml_get), DOCUMENT,
      .reply_type = "application/yaml", .doc = "This document in YAML" },
    { ROUTE(GET, "/api/v1/docs/openapi.json", openapi_cached_get), DOCUMENT,
      .reply_type = "application/json", .doc = "This document, for caches to keep ten minutes" },
    { ROUTE(GET, "/api/v2/openapi.json", openapi_v2_get), DOCUMENT,
      .reply_type = "application/json", .doc = "The operations of version 2 alone" },
    { ROUTE(GET, "/api/v1/postman.json", postman_get), DOCUMENT, .reply_type = "application/json",
      .doc = "All operations as a Postman collection" },
    { ROUTE(GET, "/api/v1/docs", docs_page), .alias = { "/api/v2/docs" }, DOCUMENT,
      .reply_type = "text/html; charset=utf-8", .doc = "A page to find and try operations" },
    { ROUTE(GET, "/api/v1/redoc", redoc_page), .alias = { "/api/v2/redoc" }, DOCUMENT,
      .reply_type = "text/html; charset=utf-8", .doc = "All operations on one page" },
    { ROUTE(GET, "/api/v1/docs/reader.css", docs_style), .alias = { "/api/v2/docs/reader.css" },
      DOCUMENT, .reply_type = "text/css; charset=utf-8", .doc = "Style of these pages" },
    { ROUTE(GET, "/api/v1/docs/reader.js", docs_script), .alias = { "/api/v2/docs/reader.js" },
      DOCUMENT, .reply_type = "text/javascript; charset=utf-8", .doc = "Script of these pages" },
    { ROUTE(GET, "/api/v1/docs/routes", docs_routes_get), .signed_in = true,
      INPUT(struct routes_in, routes_in), .reply = routes_out, .tag = "System",
      .doc = "Every path with its methods" },
    { ROUTE(GET, "/api/v1/docs/stats", docs_stats_get), .signed_in = true, .reply = stats_out,
      .tag = "System", .doc = "How many operations there are" },
    { 0 },
};
