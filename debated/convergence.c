#include "debated/convergence.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

/* A word or a pair of words is known by its hash: two that share one count as one, which among
 * the few thousand of a debate does not happen. */

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

/* Sorts, and adds up the entries of one hash. */
static void gather(struct vector *vector)
{
    size_t kept = 0;

    qsort(vector->at, vector->count, sizeof(*vector->at), by_hash);
    for (size_t i = 0; i < vector->count; i++) {
        if (kept && vector->at[kept - 1].hash == vector->at[i].hash)
            vector->at[kept - 1].weight += vector->at[i].weight;
        else
            vector->at[kept++] = vector->at[i];
    }
    vector->count = kept;
}

/* The terms of a text with how often each stands there. */
static struct vector terms_of(struct arena *arena, struct str text)
{
    struct vector vector = { arena_array(arena, text.len + 1, sizeof(*vector.at)), 0 };
    uint64_t word, before = 0;

    while (next_word(&word, &text)) {
        vector.at[vector.count++] = (struct entry){ word, 1 };
        if (before)
            vector.at[vector.count++] =
                (struct entry){ before * UINT64_C(0x9e3779b97f4a7c15) ^ word, 1 };
        before = word;
    }
    gather(&vector);
    return vector;
}

/* In how many texts each term stands. */
static struct vector documents_of(struct arena *arena, const struct vector *texts, size_t count)
{
    struct vector all = { 0 };
    size_t room = 1;

    for (size_t i = 0; i < count; i++)
        room += texts[i].count;
    all.at = arena_array(arena, room, sizeof(*all.at));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < texts[i].count; j++)
            all.at[all.count++] = (struct entry){ texts[i].at[j].hash, 1 };
    gather(&all);
    return all;
}

/* Frequency times ln((1 + n) / (1 + documents)) + 1, then to length 1. */
static void weigh(struct vector *vector, const struct vector *documents, size_t texts)
{
    double square = 0;

    for (size_t i = 0; i < vector->count; i++) {
        struct entry *entry = &vector->at[i];
        const struct entry *found =
            bsearch(entry, documents->at, documents->count, sizeof(*documents->at), by_hash);
        double in = found ? found->weight : 0;

        entry->weight *= log((1 + (double)texts) / (1 + in)) + 1;
        square += entry->weight * entry->weight;
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
    struct vector *texts = arena_array(arena, 2 * count, sizeof(*texts));
    struct convergence out = { arena_array(arena, count, sizeof(double)), 1, 1 };
    double sum = 0;
    size_t compared = 0;

    for (size_t i = 0; i < count; i++) {
        texts[2 * i] = terms_of(arena, before[i]);
        texts[2 * i + 1] = terms_of(arena, now[i]);
    }
    struct vector documents = documents_of(arena, texts, 2 * count);
    for (size_t i = 0; i < 2 * count; i++)
        weigh(&texts[i], &documents, 2 * count);
    for (size_t i = 0; i < count; i++) {
        out.similarity[i] = 1;
        if (!before[i].at || !now[i].at)
            continue;
        out.similarity[i] = cosine(&texts[2 * i], &texts[2 * i + 1]);
        out.least = out.similarity[i] < out.least ? out.similarity[i] : out.least;
        sum += out.similarity[i];
        compared++;
    }
    out.mean = compared ? sum / (double)compared : 1;
    return out;
}
