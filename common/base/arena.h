/* arena.h - memory that dies together.
 *
 * A request, and a phase of a job, owns one; what it allocates needs no free. Out of memory
 * aborts the process: a crash is safe here, a half-handled failure is not. */
#ifndef ARAGORA_ARENA_H
#define ARAGORA_ARENA_H

#include "common/base/base.h"

struct arena;
struct buf;

struct arena *arena_new(void); /* the caller's, for arena_free() */
void arena_free(struct arena *arena);
void arena_cleanup(struct arena **arena); /* for CLEANUP() */

/* Forgets everything and runs the deferred calls; keeps one block for the next use. */
void arena_reset(struct arena *arena);

/* Zeroed, aligned for any type, never NULL. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((malloc, alloc_size(2)));
/* count * size, checked for overflow. */
void *arena_array(struct arena *arena, size_t count, size_t size);
struct str arena_str(struct arena *arena, struct str s); /* a copy, terminated as well */
const char *arena_cstr(struct arena *arena, struct str s);
struct str arena_int(struct arena *arena, int64_t value); /* in decimal */
struct str arena_printf(struct arena *arena, const char *format, ...) PRINTF(2, 3);

/* An empty buffer, freed with the arena. */
struct buf *arena_buf(struct arena *arena);

/* Calls free(object) when the arena is reset or freed, last deferred first. */
void arena_defer(struct arena *arena, void (*free)(void *object), void *object);

#endif
