/* endpoints.c - the tables of rows by address; a row's index in its table is that of its place. */
#include "fcgi/endpoints.h"

#include "common/metrics/answers.h"

#include <stdlib.h>

struct family {
    const struct route *rows;
    size_t *places;
    size_t count;
};

struct endpoints {
    struct family *families; /* by address */
    size_t count;
};

static int by_address(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)((const struct family *)a)->rows;
    uintptr_t right = (uintptr_t)((const struct family *)b)->rows;

    return (left > right) - (left < right);
}

static struct family family_of(struct arena *arena, struct segment *segment,
                               const struct route *rows)
{
    size_t count = 0;

    while (rows[count].path)
        count++;
    struct family family = { rows, arena_array(arena, count, sizeof(*family.places)), count };
    for (size_t i = 0; i < count; i++)
        family.places[i] = answers_endpoint(segment, str_from(rows[i].path));
    return family;
}

struct endpoints *endpoints_new(struct arena *arena, struct segment *segment,
                                const struct route *const *tables)
{
    struct endpoints *endpoints = arena_alloc(arena, sizeof(*endpoints));

    while (tables[endpoints->count])
        endpoints->count++;
    endpoints->families = arena_array(arena, endpoints->count, sizeof(*endpoints->families));
    for (size_t i = 0; i < endpoints->count; i++)
        endpoints->families[i] = family_of(arena, segment, tables[i]);
    qsort(endpoints->families, endpoints->count, sizeof(*endpoints->families), by_address);
    return endpoints;
}

/* The last table that begins at the row or before it, if it has the row: that of static files
 * stands in no table. */
size_t endpoint_of(const struct endpoints *endpoints, const struct route *route)
{
    size_t from = 0, to = endpoints->count;

    if (!route)
        return ENDPOINT_OTHER;
    while (to - from > 1) {
        size_t middle = from + (to - from) / 2;

        if ((uintptr_t)endpoints->families[middle].rows <= (uintptr_t)route)
            from = middle;
        else
            to = middle;
    }
    const struct family *family = &endpoints->families[from];
    size_t at = ((uintptr_t)route - (uintptr_t)family->rows) / sizeof(*route);
    return (uintptr_t)route >= (uintptr_t)family->rows && at < family->count ? family->places[at]
                                                                             : ENDPOINT_OTHER;
}
