/* route_index.c - a tree of segments whose edges stand in one hash table.
 *
 * An edge is (node, segment) -> node. A literal path also stands whole in the table, as an edge
 * from no node, so that it costs one lookup however deep it is.
 *
 * No cache of concrete paths stands in front: with 2,500 rows a dynamic path costs 0.3 us, of 500
 * cached ones 0.1 us if it is there and 0.6 us if not, and a request takes 30 us (make bench). */
#include "fcgi/route_index.h"

#include <stdio.h>
#include <stdlib.h>

#define NO_NODE UINT32_MAX

struct node {
    const struct route *routes[METHOD_COUNT];
    uint32_t param, tail; /* children by a parameter; NO_NODE: none */
};

struct edge {
    struct str segment; /* of the rows, which are static, or kept in paths */
    uint32_t from, to;
};

struct route_index {
    struct node *nodes;
    size_t node_count, node_room;
    struct edge *edges; /* open addressing; .to NO_NODE: free */
    size_t edge_room, edge_count;
    struct arena *paths;
};

static uint64_t edge_hash(uint32_t from, struct str segment)
{
    return str_hash(segment) ^ (from + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct edge *edge_slot(const struct route_index *index, uint32_t from, struct str segment)
{
    size_t mask = index->edge_room - 1, at = edge_hash(from, segment) & mask;

    while (index->edges[at].to != NO_NODE &&
           (index->edges[at].from != from || !str_eq(index->edges[at].segment, segment)))
        at = (at + 1) & mask;
    return &index->edges[at];
}

static uint32_t node_new(struct route_index *index)
{
    if (index->node_count == index->node_room)
        abort(); /* route_index_build() counts first */
    index->nodes[index->node_count] = (struct node){ .param = NO_NODE, .tail = NO_NODE };
    return (uint32_t)index->node_count++;
}

static uint32_t edge_to(struct route_index *index, uint32_t from, struct str segment)
{
    struct edge *edge = edge_slot(index, from, segment);

    if (edge->to == NO_NODE) {
        *edge = (struct edge){ segment, from, node_new(index) };
        index->edge_count++;
    }
    return edge->to;
}

NORETURN static void fault(const struct route *route, const char *what)
{
    fprintf(stderr, "%s:%d: %s: %s\n", route->file, route->line, route->path, what);
    abort();
}

/* The node of a path as a row writes it. */
static uint32_t node_of(struct route_index *index, struct str path)
{
    struct str rest = str_slice(path, 1, path.len), segment;
    uint32_t node = 0;

    while (rest.len && str_split(&segment, &rest, '/')) {
        if (segment.at[0] != '{') {
            node = edge_to(index, node, segment);
            continue;
        }
        bool tail = segment.at[segment.len - 2] == '*';
        uint32_t child = tail ? index->nodes[node].tail : index->nodes[node].param;
        if (child == NO_NODE) {
            child = node_new(index);
            *(tail ? &index->nodes[node].tail : &index->nodes[node].param) = child;
        }
        node = child;
    }
    return node;
}

/* spare: only where no row has claimed the operation. */
static void place(struct route_index *index, const struct route *route, struct str path, bool spare)
{
    uint32_t node = node_of(index, path);
    const struct route **at = &index->nodes[node].routes[route->method];

    if (*at && !spare)
        fault(route, "two rows for one operation");
    if (*at)
        return;
    *at = route;
    if (!memchr(path.at, '{', path.len))
        *edge_slot(index, NO_NODE, path) = (struct edge){ path, NO_NODE, node };
}

static void place_versions(struct route_index *index, const struct route *route, struct str path,
                           struct str prefix)
{
    static const char *const prefixes[] = { "/api/", "/api/v1/", "/api/v2/" };

    if (!str_starts(path, prefix))
        return;
    struct str rest = str_slice(path, prefix.len, path.len);
    for (size_t i = 0; i < COUNT(prefixes); i++)
        if (!str_is(prefix, prefixes[i]))
            place(index, route,
                  arena_printf(index->paths, "%s" STR_FMT, prefixes[i], STR_ARG(rest)), true);
}

/* Its braces, "{a}{b}"; the tail may only stand last. */
static struct str braces(struct arena *arena, const struct route *route, const char *path)
{
    struct str rest = str_from(path), segment, all = STR("");
    size_t count = 0;

    if (path[0] != '/')
        fault(route, "a path begins with /");
    while (str_split(&segment, &rest, '/')) {
        if (!str_starts(segment, STR("{")))
            continue;
        if (segment.len < 3 || !str_ends(segment, STR("}")) || ++count > PARAMS_MAX)
            fault(route, "bad or too many parameters");
        if (str_ends(segment, STR("*}")) && rest.at)
            fault(route, "a tail stands last");
        all = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(all), STR_ARG(segment));
    }
    return all;
}

static void check(const struct route_index *index, const struct route *route)
{
    struct str own = braces(index->paths, route, route->path);
    unsigned roles;

    for (size_t i = 0; i < COUNT(route->alias) && route->alias[i]; i++)
        if (!str_eq(own, braces(index->paths, route, route->alias[i])))
            fault(route, "an alias has the parameters of the path, in their order");
    if (!route->permission && !route->public && !route->signed_in)
        fault(route, "a row needs a permission, .public or .signed_in");
    if (route->permission && !permission_roles(&roles, str_from(route->permission)))
        fault(route, "no such permission");
    if (success_status(route) < 200 || success_status(route) > 299 ||
        (route->status == 204 && (route->reply || route->reply_type)))
        fault(route, "a row succeeds with 2xx, and with 204 has no reply");
    if (route->unready_status && (!route->reply || route->unready_status < 400))
        fault(route, "a status of a probe that says no is of its reply, and an error's");
    if (route_creates(route) && route->no_database)
        fault(route, "a row that creates needs the database");
    if (route->creates && !route_creates(route))
        fault(route, "only POST creates");
    if (route->etag && route->method != METHOD_GET)
        fault(route, "only what is read has an ETag");
    if (fields_count(route->input) > 64) /* bits of request.given */
        fault(route, "more than 64 input fields");
}

/* Upper bound: segments of all paths in all their forms. */
static size_t count_segments(const struct route *const *tables)
{
    size_t count = 1;

    for (; *tables; tables++)
        for (const struct route *route = *tables; route->path; route++)
            for (size_t i = 0; i <= COUNT(route->alias); i++) {
                const char *path = i ? route->alias[i - 1] : route->path;

                for (const char *at = path; at && *at; at++)
                    count += *at == '/' ? 3 : 0;
            }
    return count;
}

static struct route_index *index_new(size_t segments)
{
    struct route_index *index = calloc(1, sizeof(*index));

    if (!index)
        abort();
    index->paths = arena_new();
    index->node_room = segments;
    index->nodes = calloc(segments, sizeof(*index->nodes));
    index->edge_room = 64;
    while (index->edge_room < 4 * segments) /* literal paths stand twice; at most half full */
        index->edge_room *= 2;
    index->edges = calloc(index->edge_room, sizeof(*index->edges));
    if (!index->nodes || !index->edges)
        abort();
    for (size_t i = 0; i < index->edge_room; i++)
        index->edges[i].to = NO_NODE;
    (void)node_new(index); /* the root, node 0 */
    return index;
}

/* prefix STR_NONE: the paths as written; else their other versions. */
static void place_all(struct route_index *index, const struct route *const *tables,
                      struct str prefix)
{
    for (; *tables; tables++)
        for (const struct route *route = *tables; route->path; route++)
            for (size_t i = 0; i <= COUNT(route->alias); i++) {
                struct str path = str_from(i ? route->alias[i - 1] : route->path);

                if (path.at && prefix.at)
                    place_versions(index, route, path, prefix);
                else if (path.at)
                    place(index, route, path, false);
            }
}

void route_index_build(struct route_index **out, const struct route *const *tables)
{
    struct route_index *index = index_new(count_segments(tables));

    for (const struct route *const *table = tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            check(index, route);
    /* Whatever the order of the rows: what they claim, then v1, which /api/ means by default. */
    place_all(index, tables, STR_NONE);
    place_all(index, tables, STR("/api/v1/"));
    place_all(index, tables, STR("/api/v2/"));
    *out = index;
}

void route_index_free(struct route_index *index)
{
    if (!index)
        return;
    arena_free(index->paths);
    free(index->nodes);
    free(index->edges);
    free(index);
}

static unsigned methods_of(const struct node *node)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < METHOD_COUNT; i++)
        bits |= node->routes[i] ? 1U << i : 0;
    return bits;
}

struct search {
    const struct route_index *index;
    enum method method;
    struct str *params;
    unsigned allowed; /* of every path that matched */
};

static const struct route *arrive(struct search *search, uint32_t node)
{
    const struct node *at = &search->index->nodes[node];

    search->allowed |= methods_of(at);
    return search->method < METHOD_COUNT ? at->routes[search->method] : NULL;
}

/* A literal that lacks the method does not hide a parameter that has it. Each node is entered
 * at most once, so no path costs more than the rows have segments. */
static const struct route *walk(struct search *search, uint32_t node, struct str rest, size_t count)
{
    const struct node *at = &search->index->nodes[node];
    const struct route *found = NULL;
    struct str segment, tail = rest;

    if (!str_split(&segment, &rest, '/'))
        return arrive(search, node);
    const struct edge *edge = edge_slot(search->index, node, segment);
    if (edge->to != NO_NODE)
        found = walk(search, edge->to, rest, count);
    if (found || !segment.len || count == PARAMS_MAX)
        return found;
    if (at->param != NO_NODE) {
        found = walk(search, at->param, rest, count + 1);
        search->params[count] = found ? segment : STR_NONE;
    }
    if (!found && at->tail != NO_NODE) {
        found = arrive(search, at->tail);
        search->params[count] = found ? tail : STR_NONE;
    }
    return found;
}

bool route_find(const struct route **out, unsigned *allowed, struct str params[PARAMS_MAX],
                const struct route_index *index, enum method method, struct str path)
{
    struct search search = { .index = index, .method = method, .params = params };
    const struct edge *whole = edge_slot(index, NO_NODE, path);
    const struct route *found = whole->to == NO_NODE ? NULL : arrive(&search, whole->to);

    if (!found)
        found = walk(&search, 0, str_slice(path, 1, path.len), 0);
    *allowed = found ? 0 : search.allowed;
    if (found)
        *out = found;
    return found;
}

size_t allow_header(char *out, size_t size, unsigned methods)
{
    static const struct {
        const char *name;
        unsigned bits;
    } names[] = {
        /* by name */
        { "DELETE", 1U << METHOD_DELETE }, { "GET", 1U << METHOD_GET },
        { "HEAD", 1U << METHOD_GET },      { "OPTIONS", ~0U },
        { "PATCH", 1U << METHOD_PATCH },   { "POST", 1U << METHOD_POST },
        { "PUT", 1U << METHOD_PUT },
    };
    size_t len = 0;

    for (size_t i = 0; i < COUNT(names); i++) {
        if (!(names[i].bits & methods) && names[i].bits != ~0U)
            continue;
        int more = snprintf(out + len, size - len, "%s%s", len ? ", " : "", names[i].name);
        if (more < 0 || (size_t)more >= size - len)
            return len;
        len += (size_t)more;
    }
    return len;
}
