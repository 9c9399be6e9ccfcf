/* arena.c - a list of blocks, bumped.
 *
 * The first block stays over a reset, so a request of ordinary size allocates nothing from the
 * system. A large object gets a block of its own behind the first, which keeps the first for
 * the small ones. */
#include "common/base/arena.h"

#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_BYTES ((size_t)16 * 1024)
#define ALIGN       (sizeof(max_align_t))

struct block {
    struct block *next;
    size_t size, used;
    _Alignas(max_align_t) char at[];
};

struct deferred {
    struct deferred *next;
    void (*free)(void *object);
    void *object;
};

struct arena {
    struct block *first, *current; /* current is where small objects go */
    struct deferred *deferred;
};

static struct block *block_new(size_t size)
{
    struct block *block = malloc(sizeof(*block) + size);

    if (!block)
        abort();
    block->next = NULL;
    block->size = size;
    block->used = 0;
    return block;
}

struct arena *arena_new(void)
{
    struct arena *arena = calloc(1, sizeof(*arena));

    if (!arena)
        abort();
    arena->first = arena->current = block_new(BLOCK_BYTES);
    return arena;
}

void arena_reset(struct arena *arena)
{
    /* A deferred call may use the arena's memory, so the blocks go last. */
    while (arena->deferred) {
        struct deferred *deferred = arena->deferred;

        arena->deferred = deferred->next;
        deferred->free(deferred->object);
    }
    for (struct block *block = arena->first->next, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    arena->first->next = NULL;
    arena->first->used = 0;
    arena->current = arena->first;
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    arena_reset(arena);
    free(arena->first);
    free(arena);
}

void arena_cleanup(struct arena **arena)
{
    arena_free(*arena);
}

static size_t aligned(size_t size)
{
    size_t rounded;

    if (__builtin_add_overflow(size, ALIGN - 1, &rounded))
        abort();
    return rounded & ~(ALIGN - 1);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = aligned(size);
    struct block *block = arena->current;

    if (rounded > block->size - block->used) {
        struct block *fresh = block_new(rounded > BLOCK_BYTES / 4 ? rounded : BLOCK_BYTES);

        fresh->next = block->next;
        block->next = fresh;
        if (fresh->size == BLOCK_BYTES)
            arena->current = fresh;
        block = fresh;
    }
    void *at = block->at + block->used;
    block->used += rounded;
    return memset(at, 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        abort();
    return arena_alloc(arena, bytes);
}

struct str arena_str(struct arena *arena, struct str s)
{
    if (!s.at)
        return STR_NONE;
    char *at = arena_alloc(arena, s.len + 1);
    memcpy(at, s.at, s.len);
    return (struct str){ at, s.len };
}

struct str arena_int(struct arena *arena, int64_t value)
{
    char text[INT_TEXT];
    size_t len = int_text(text, value);

    return arena_str(arena, (struct str){ text, len });
}

const char *arena_cstr(struct arena *arena, struct str s)
{
    return s.at ? arena_str(arena, s).at : "";
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    struct block *block = arena->current;
    size_t room = block->size - block->used;
    char *at = block->at + block->used; /* where it nearly always fits */
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(at, room, format, args);
    va_end(args);
    if (len < 0)
        abort();
    if ((size_t)len < room) {
        block->used += aligned((size_t)len + 1);
    } else {
        at = arena_alloc(arena, (size_t)len + 1);
        vsnprintf(at, (size_t)len + 1, format, again);
    }
    va_end(again);
    return (struct str){ at, (size_t)len };
}

void arena_defer(struct arena *arena, void (*free)(void *object), void *object)
{
    struct deferred *deferred = arena_alloc(arena, sizeof(*deferred));

    *deferred = (struct deferred){ arena->deferred, free, object };
    arena->deferred = deferred;
}

static void free_buf(void *buf)
{
    buf_free(buf);
}

struct buf *arena_buf(struct arena *arena)
{
    struct buf *buf = arena_alloc(arena, sizeof(*buf));

    arena_defer(arena, free_buf, buf);
    return buf;
}
