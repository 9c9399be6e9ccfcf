/* route_index.c - a tree of segments whose edges stand in one hash table.
 *
 * An edge is (node, segment) -> node. A literal path also stands whole in the table, as an edge
 * from no node, so that it costs one lookup however deep it is. */
#include "fcgi/route_index.h"

#include <stdio.h>
#include <stdlib.h>

#define NO_NODE UINT32_MAX

struct node {
    const struct route *routes[METHOD_COUNT];
    bool by_version[METHOD_COUNT]; /* reached by a version that the row does not name */
    uint32_t param, tail;          /* children by a parameter; NO_NODE: none */
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

static void place(struct route_index *index, const struct route *route, struct str path,
                  bool by_version)
{
    uint32_t node = node_of(index, path);
    struct node *at = &index->nodes[node];
    size_t brace;

    if (at->routes[route->method]) {
        if (by_version)
            return; /* the path has a row of its own */
        if (!at->by_version[route->method])
            fault(route, "two rows for one operation");
    }
    at->routes[route->method] = route;
    at->by_version[route->method] = by_version;
    if (!str_find(&brace, path, STR("{"))) {
        struct edge *edge = edge_slot(index, NO_NODE, path);

        *edge = (struct edge){ path, NO_NODE, node };
    }
}

static void place_versions(struct route_index *index, const struct route *route, struct str path)
{
    static const char *const prefixes[] = { "/api/", "/api/v1/", "/api/v2/" };
    struct str rest;

    if (str_starts(path, STR("/api/v1/")) || str_starts(path, STR("/api/v2/")))
        rest = str_slice(path, 8, path.len);
    else
        return;
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        struct str other = arena_printf(index->paths, "%s" STR_FMT, prefixes[i], STR_ARG(rest));

        if (!str_eq(other, path))
            place(index, route, other, true);
    }
}

static void check(const struct route *route)
{
    unsigned roles;

    if (!route->permission && !route->public && !route->signed_in)
        fault(route, "a row needs a permission, .public or .signed_in");
    if (route->permission && !permission_roles(&roles, str_from(route->permission)))
        fault(route, "no such permission");
    if (route->input && fields_count(route->input) > 64)
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

void route_index_build(struct route_index **out, const struct route *const *tables)
{
    struct route_index *index = calloc(1, sizeof(*index));
    size_t segments = count_segments(tables);

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
    for (const struct route *const *table = tables; *table; table++) {
        for (const struct route *route = *table; route->path; route++) {
            check(route);
            place(index, route, str_from(route->path), false);
            place_versions(index, route, str_from(route->path));
            for (size_t i = 0; i < COUNT(route->alias) && route->alias[i]; i++) {
                place(index, route, str_from(route->alias[i]), false);
                place_versions(index, route, str_from(route->alias[i]));
            }
        }
    }
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

/* The best node for the rest of a path that has rows for anything; depth is bounded by the
 * rows, since only nodes of rows are entered. */
static uint32_t walk(const struct route_index *index, uint32_t node, struct str rest,
                     struct str *params, size_t count)
{
    const struct node *at = &index->nodes[node];
    struct str segment, tail = rest;
    uint32_t found;

    if (!rest.at)
        return methods_of(at) ? node : NO_NODE;
    if (!str_split(&segment, &rest, '/'))
        return NO_NODE;
    const struct edge *edge = edge_slot(index, node, segment);
    if (edge->to != NO_NODE) {
        found = walk(index, edge->to, rest, params, count);
        if (found != NO_NODE)
            return found;
    }
    if (at->param != NO_NODE && count < PARAMS_MAX) {
        params[count] = segment;
        found = walk(index, at->param, rest, params, count + 1);
        if (found != NO_NODE)
            return found;
    }
    if (at->tail != NO_NODE && count < PARAMS_MAX) {
        params[count] = tail;
        return at->tail;
    }
    return NO_NODE;
}

bool route_find(const struct route **out, unsigned *allowed, struct str params[PARAMS_MAX],
                const struct route_index *index, enum method method, struct str path)
{
    const struct edge *whole = edge_slot(index, NO_NODE, path);
    uint32_t node = whole->to;

    *allowed = 0;
    if (node == NO_NODE)
        node = walk(index, 0, str_slice(path, 1, path.len), params, 0);
    if (node == NO_NODE)
        return false;
    if (method < METHOD_COUNT && index->nodes[node].routes[method]) {
        *out = index->nodes[node].routes[method];
        return true;
    }
    *allowed = methods_of(&index->nodes[node]);
    return false;
}

size_t allow_header(char *out, size_t size, unsigned methods)
{
    static const struct {
        const char *name;
        unsigned bits;
    } names[] = { /* by name */
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
