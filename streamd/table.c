#include "streamd/table.h"

#include <stdlib.h>

#define ROOM_MIN ((size_t)64) /* a power of two, as all that follow */

static struct table_place **slot_of(const struct table *table, uint64_t hash)
{
    return &table->slots[(hash ^ hash >> 32) & (table->room - 1)];
}

void *table_find(const struct table *table, struct str key)
{
    uint64_t hash = str_hash(key);
    struct table_place *place = table->room ? *slot_of(table, hash) : NULL;

    while (place && !(place->hash == hash && str_eq(place->key, key)))
        place = place->next;
    return place;
}

static void put(struct table *table, struct table_place *place)
{
    struct table_place **slot = slot_of(table, place->hash);

    place->next = *slot;
    *slot = place;
}

static void grow(struct table *table)
{
    struct table before = *table;

    table->room = before.room ? 2 * before.room : ROOM_MIN;
    table->slots = calloc(table->room, sizeof(struct table_place *));
    if (!table->slots)
        abort();
    for (size_t i = 0; i < before.room; i++)
        for (struct table_place *place = before.slots[i], *next; place; place = next) {
            next = place->next;
            put(table, place);
        }
    free(before.slots);
}

void table_add(struct table *table, struct table_place *place, struct str key)
{
    if (table->count == table->room)
        grow(table);
    place->key = key;
    place->hash = str_hash(key);
    put(table, place);
    table->count++;
}

void table_remove(struct table *table, struct table_place *place)
{
    struct table_place **at = slot_of(table, place->hash);

    while (*at != place)
        at = &(*at)->next;
    *at = place->next;
    table->count--;
}

void table_each(struct table *table, void (*visit)(void *arg, struct table_place *place), void *arg)
{
    for (size_t i = 0; i < table->room; i++)
        for (struct table_place *place = table->slots[i], *next; place; place = next) {
            next = place->next;
            visit(arg, place);
        }
}

void table_free(struct table *table)
{
    free(table->slots);
    *table = (struct table){ 0 };
}
