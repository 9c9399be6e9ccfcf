/* table.h - what is found by a text.
 *
 * A struct that is to be found begins with its place in the table, which owns neither it nor its
 * key. A zeroed table is empty. */
#ifndef ARAGORA_STREAMD_TABLE_H
#define ARAGORA_STREAMD_TABLE_H

#include "common/base/base.h"

struct table_place {
    struct table_place *next; /* in the same slot */
    uint64_t hash;
    struct str key;
};

struct table {
    struct table_place **slots;
    size_t room, count;
};

void *table_find(const struct table *table, struct str key); /* NULL: it is not there */
/* The key lives as long as the place is in the table, and is not in it yet. */
void table_add(struct table *table, struct table_place *place, struct str key);
void table_remove(struct table *table, struct table_place *place);
/* Calls visit for each; it may remove the one that it is given. */
void table_each(struct table *table, void (*visit)(void *arg, struct table_place *place),
                void *arg);
void table_free(struct table *table); /* what is in it stays as it is */

#endif
