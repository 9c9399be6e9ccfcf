/* route.c - what a lookup of a route costs with 2,500 rows loaded, and whether a cache would pay.
 *
 * The rival is the reference's: the last 500 dynamic paths with their row, newest first. Prints
 * a line for each measure: name, nanoseconds, "ns". */
#include "common/base/arena.h"
#include "common/base/clock.h"
#include "fcgi/route_index.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS      2500
#define FAMILIES  100
#define CACHED    500
#define SLOTS     1024 /* a power of two above twice CACHED */
#define ROUNDS    9
#define LOOKUPS   200000
#define NO_ENTRY  UINT16_MAX
#define HIT_PATHS 400 /* all of them fit into the cache */

static enum result nothing(struct request *r UNUSED)
{
    return DONE;
}

/* Half of the rows literal, half with one to three parameters; the shapes of our own paths. */
static const struct route *rows(struct arena *arena)
{
    static const char *const shapes[] = {
        "/api/v1/family%zu/resource%zu",
        "/api/v1/family%zu/resource%zu/{id}",
        "/api/v1/family%zu/resource%zu/summary/latest",
        "/api/v1/family%zu/resource%zu/{id}/items/{item}",
        "/api/v1/family%zu/resource%zu/export",
        "/api/v1/family%zu/resource%zu/{id}/items/{item}/parts/{part}",
    };
    struct route *table = arena_array(arena, ROWS + 1, sizeof(*table));

    for (size_t i = 0; i < ROWS; i++) {
        const char *path = arena_printf(arena, shapes[i % COUNT(shapes)], i % FAMILIES, i).at;

        table[i] = (struct route){ ROUTE(GET, path, nothing), .public = true };
    }
    return table;
}

/* A path that the row answers; number makes its ids. */
static struct str concrete(struct arena *arena, const char *path, size_t number)
{
    struct str rest = str_from(path), segment, all = STR("");

    (void)str_split(&segment, &rest, '/');
    while (str_split(&segment, &rest, '/'))
        all = segment.at[0] == '{'
                  ? arena_printf(arena, STR_FMT "/0198c1d2e3f4a5b6%016zx", STR_ARG(all), number)
                  : arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(all), STR_ARG(segment));
    return all;
}

struct found {
    const struct route *route;
    struct str params[PARAMS_MAX];
};

struct entry {
    struct str path; /* a copy */
    struct found found;
    uint16_t newer, older, next; /* next: in the slot's chain */
};

struct cache {
    struct entry entries[CACHED];
    uint16_t slots[SLOTS], newest, oldest;
    size_t count;
};

static struct cache cache;

static void cache_clear(void)
{
    for (size_t i = 0; i < cache.count; i++)
        free((char *)cache.entries[i].path.at);
    cache.count = 0;
    memset(cache.slots, 0xff, sizeof(cache.slots));
    cache.newest = cache.oldest = NO_ENTRY;
}

static void leave(uint16_t at)
{
    const struct entry *entry = &cache.entries[at];

    *(entry->newer == NO_ENTRY ? &cache.newest : &cache.entries[entry->newer].older) = entry->older;
    *(entry->older == NO_ENTRY ? &cache.oldest : &cache.entries[entry->older].newer) = entry->newer;
}

static void enter(uint16_t at)
{
    cache.entries[at].newer = NO_ENTRY;
    cache.entries[at].older = cache.newest;
    *(cache.newest == NO_ENTRY ? &cache.oldest : &cache.entries[cache.newest].newer) = at;
    cache.newest = at;
}

/* The oldest, out of its chain; while there is room, an unused one. */
static uint16_t entry_free(void)
{
    if (cache.count < CACHED)
        return (uint16_t)cache.count++;
    uint16_t at = cache.oldest, *link;
    for (link = &cache.slots[str_hash(cache.entries[at].path) % SLOTS]; *link != at;)
        link = &cache.entries[*link].next;
    *link = cache.entries[at].next;
    leave(at);
    free((char *)cache.entries[at].path.at);
    return at;
}

static bool find_cached(struct found *out, const struct route_index *index, struct str path)
{
    uint16_t *slot = &cache.slots[str_hash(path) % SLOTS], at;
    unsigned allowed;

    for (at = *slot; at != NO_ENTRY; at = cache.entries[at].next)
        if (str_eq(cache.entries[at].path, path))
            break;
    if (at != NO_ENTRY) {
        leave(at);
        enter(at);
        *out = cache.entries[at].found;
        return true;
    }
    at = entry_free();
    struct entry *entry = &cache.entries[at];
    *entry = (struct entry){ .path = { strndup(path.at, path.len), path.len } };
    if (!entry->path.at)
        abort();
    if (!route_find(&entry->found.route, &allowed, entry->found.params, index, METHOD_GET,
                    entry->path))
        abort(); /* every path that is asked for has a row */
    entry->next = *slot;
    *slot = at;
    enter(at);
    *out = entry->found;
    return true;
}

static bool find_plain(struct found *out, const struct route_index *index, struct str path)
{
    unsigned allowed;

    return route_find(&out->route, &allowed, out->params, index, METHOD_GET, path);
}

/* The best of some rounds, nanoseconds a lookup. */
static void
measure(const char *name, const struct route_index *index, const struct str *paths, size_t count,
        bool (*find)(struct found *out, const struct route_index *index, struct str path))
{
    struct found found = { 0 };
    double best = 0;

    cache_clear();
    for (size_t round = 0; round < ROUNDS; round++) {
        int64_t from = monotonic_us();

        for (size_t i = 0; i < LOOKUPS; i++)
            if (!find(&found, index, paths[i * 7 % count])) /* 7: neighbours are apart */
                abort();
        double took = (double)(monotonic_us() - from) * 1000 / LOOKUPS;
        if (!round || took < best)
            best = took;
    }
    printf("%s\t%.1f\tns\n", name, best);
}

int main(void)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    const struct route *table = rows(arena);
    const struct route *const tables[] = { table, NULL };
    struct str *literal = arena_array(arena, ROWS, sizeof(*literal));
    struct str *dynamic = arena_array(arena, ROWS, sizeof(*dynamic));
    size_t literals = 0, dynamics = 0;
    struct route_index *index;

    route_index_build(&index, tables);
    for (size_t i = 0; i < ROWS; i++)
        if (strchr(table[i].path, '{'))
            dynamic[dynamics++] = concrete(arena, table[i].path, i);
        else
            literal[literals++] = str_from(table[i].path);
    measure("route_literal_ns", index, literal, literals, find_plain);
    measure("route_dynamic_ns", index, dynamic, dynamics, find_plain);
    measure("route_dynamic_few_ns", index, dynamic, HIT_PATHS, find_plain);
    measure("route_dynamic_few_lru_ns", index, dynamic, HIT_PATHS, find_cached);
    measure("route_dynamic_lru_ns", index, dynamic, dynamics, find_cached);
    cache_clear();
    route_index_free(index);
    return 0;
}
