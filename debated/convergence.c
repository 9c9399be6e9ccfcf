#include "debated/convergence.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <uthash.h>

/* A word or a pair of words, known by its hash: two that share one count as one, which among the
 * few thousand of a debate does not happen. */
struct term {
    UT_hash_handle hh;
    uint64_t hash;
    double documents; /* that hold it */
};

/* One text as its terms, sorted by hash. */
struct vector {
    struct entry {
        uint64_t hash;
        double weight;
    } * at;
    size_t count;
};

/* Letters, digits and all bytes beyond ASCII make words; folded to lower case within ASCII. */
static bool next_word(uint64_t *hash, struct str *rest)
{
    char word[64];
    size_t len = 0, i = 0;

    for (; i < rest->len; i++) {
        unsigned char c = (unsigned char)rest->at[i];

        if (isalnum(c) || c >= 0x80) {
            if (len < sizeof(word))
                word[len++] = (char)tolower(c);
        } else if (len) {
            break;
        }
    }
    *rest = str_slice(*rest, i, rest->len);
    *hash = str_hash((struct str){ word, len });
    return len > 0;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t left = ((const struct entry *)a)->hash, right = ((const struct entry *)b)->hash;

    return (left > right) - (left < right);
}

/* The terms of a text with how often each stands there. */
static struct vector terms_of(struct arena *arena, struct str text)
{
    struct vector vector = { arena_array(arena, text.len + 1, sizeof(*vector.at)), 0 };
    uint64_t word, before = 0;
    size_t kept = 0;

    while (next_word(&word, &text)) {
        vector.at[vector.count++] = (struct entry){ word, 1 };
        if (before)
            vector.at[vector.count++] =
                (struct entry){ before * UINT64_C(0x9e3779b97f4a7c15) ^ word, 1 };
        before = word;
    }
    qsort(vector.at, vector.count, sizeof(*vector.at), by_hash);
    for (size_t i = 0; i < vector.count; i++) {
        if (kept && vector.at[kept - 1].hash == vector.at[i].hash)
            vector.at[kept - 1].weight += 1;
        else
            vector.at[kept++] = vector.at[i];
    }
    vector.count = kept;
    return vector;
}

static void count_documents(struct term **terms, struct arena *arena, const struct vector *vector)
{
    for (size_t i = 0; i < vector->count; i++) {
        struct term *term = NULL;

        HASH_FIND(hh, *terms, &vector->at[i].hash, sizeof(uint64_t), term);
        if (!term) {
            term = arena_alloc(arena, sizeof(*term));
            term->hash = vector->at[i].hash;
            HASH_ADD(hh, *terms, hash, sizeof(uint64_t), term);
        }
        term->documents += 1;
    }
}

/* Frequency times ln((1 + n) / (1 + documents)) + 1, then to length 1. */
static void weigh(struct vector *vector, struct term *terms, double documents)
{
    double square = 0;

    for (size_t i = 0; i < vector->count; i++) {
        struct term *term = NULL;

        HASH_FIND(hh, terms, &vector->at[i].hash, sizeof(uint64_t), term);
        vector->at[i].weight *= log((1 + documents) / (1 + (term ? term->documents : 0))) + 1;
        square += vector->at[i].weight * vector->at[i].weight;
    }
    for (size_t i = 0; square > 0 && i < vector->count; i++)
        vector->at[i].weight /= sqrt(square);
}

static double cosine(const struct vector *a, const struct vector *b)
{
    double sum = 0;

    if (!a->count && !b->count)
        return 1;
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        if (a->at[i].hash == b->at[j].hash)
            sum += a->at[i++].weight * b->at[j++].weight;
        else if (a->at[i].hash < b->at[j].hash)
            i++;
        else
            j++;
    }
    return sum < 1 ? sum : 1;
}

struct convergence convergence_of(struct arena *arena, const struct str *before,
                                  const struct str *now, size_t count)
{
    struct vector *old = arena_array(arena, count, sizeof(*old));
    struct vector *new = arena_array(arena, count, sizeof(*new));
    struct convergence out = { arena_array(arena, count, sizeof(double)), 1, 1 };
    struct term *terms = NULL;
    double sum = 0;
    size_t compared = 0;

    for (size_t i = 0; i < count; i++) {
        old[i] = terms_of(arena, before[i]);
        new[i] = terms_of(arena, now[i]);
        count_documents(&terms, arena, &old[i]);
        count_documents(&terms, arena, &new[i]);
    }
    for (size_t i = 0; i < count; i++) {
        weigh(&old[i], terms, (double)(2 * count));
        weigh(&new[i], terms, (double)(2 * count));
        out.similarity[i] = 1;
        if (!before[i].at || !now[i].at)
            continue;
        out.similarity[i] = cosine(&old[i], &new[i]);
        out.least = out.similarity[i] < out.least ? out.similarity[i] : out.least;
        sum += out.similarity[i];
        compared++;
    }
    out.mean = compared ? sum / (double)compared : 1;
    HASH_CLEAR(hh, terms); /* the terms themselves are the arena's */
    return out;
}
