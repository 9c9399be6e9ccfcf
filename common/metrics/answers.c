/* answers.c - a table from endpoint, method and status to a histogram of times.
 *
 * Of the many statuses of many endpoints few occur, so the table holds the number of a series,
 * which is handed out at the first answer of its kind. The request counter is the histogram's
 * count, and both histograms are made of the same buckets: their bounds together.
 *
 * Whoever changes methods, statuses or bounds raises SEGMENT_VERSION. */
#include "common/metrics/answers.h"

#include <assert.h>

/* What answers have, the commonest first; the place of 0 counts all others. */
static const int statuses[] = {
    0,   200, 201, 202, 204, 400, 401, 403, 404, 405, 409, 422, 429, 500, 503, 504, 206, 301, 302,
    303, 304, 307, 308, 402, 406, 408, 410, 412, 413, 415, 416, 423, 424, 428, 451, 501, 502, 507,
};

static const char *const method_texts[] = { "GET", "POST", "PUT", "PATCH", "DELETE", "OTHER" };

static_assert(COUNT(method_texts) == ANSWER_METHODS, "a method lacks its name");
#define KINDS (ANSWER_METHODS * COUNT(statuses))
static_assert(SERIES <= UINT16_MAX + 1, "a place cannot hold the number of a series");
static_assert(KINDS <= ANSWER_KINDS, "the segment has too few kinds");

static const struct bound {
    int64_t us;
    const char *seconds;
    bool duration, latency; /* which histogram has it */
} bounds[] = {
    { 1000, "0.001", .latency = true },
    { 5000, "0.005", .latency = true },
    { 10000, "0.01", .latency = true, .duration = true },
    { 25000, "0.025", .latency = true },
    { 50000, "0.05", .latency = true, .duration = true },
    { 100000, "0.1", .latency = true, .duration = true },
    { 250000, "0.25", .latency = true, .duration = true },
    { 500000, "0.5", .latency = true, .duration = true },
    { 1000000, "1", .latency = true, .duration = true },
    { 2500000, "2.5", .latency = true, .duration = true },
    { 5000000, "5", .latency = true, .duration = true },
    { 10000000, "10", .duration = true },
};

static_assert(COUNT(bounds) + 1 == SERIES_BUCKETS, "a bucket for each bound and one above");

size_t answers_endpoint(struct segment *segment, struct str path)
{
    _Atomic uint64_t *endpoints = segment_answers(segment)->endpoints;
    uint64_t hash = str_hash(path) | 1; /* never the free place's */
    size_t at = hash / 2 % (ENDPOINTS - 1);

    for (size_t i = 0; i < ENDPOINTS - 1; i++) {
        size_t place = 1 + (at + i) % (ENDPOINTS - 1);
        uint64_t held = 0;

        if (atomic_compare_exchange_strong(&endpoints[place], &held, hash) || held == hash)
            return place;
    }
    return ENDPOINT_OTHER;
}

static size_t kind_of(enum answer_method method, int status)
{
    size_t i = 1;

    while (i < COUNT(statuses) && statuses[i] != status)
        i++;
    return method * COUNT(statuses) + i % COUNT(statuses);
}

#define SERIES_REST 0 /* of all that finds no series of its own */
#define KIND_REST   (ANSWER_OTHER * COUNT(statuses))

static bool is_rest(size_t endpoint, size_t kind)
{
    return endpoint == ENDPOINT_OTHER && kind == KIND_REST;
}

static size_t series_new(struct answer_table *table, size_t endpoint, size_t kind)
{
    uint32_t last = atomic_load(&table->last);
    uint16_t held = 0;

    do {
        if (is_rest(endpoint, kind) || last >= SERIES - 1)
            return SERIES_REST;
    } while (!atomic_compare_exchange_weak(&table->last, &last, last + 1));
    if (atomic_compare_exchange_strong(&table->places[endpoint][kind], &held, (uint16_t)(last + 1)))
        return last + 1;
    return held; /* another process was faster; the fresh one stays unused */
}

static size_t bucket_of(int64_t took_us)
{
    size_t i = 0;

    while (i < COUNT(bounds) && took_us > bounds[i].us)
        i++;
    return i;
}

void answers_count(struct segment *segment, size_t endpoint, enum answer_method method, int status,
                   int64_t took_us)
{
    struct answer_table *table = segment_answers(segment);
    size_t kind = kind_of(method, status);
    size_t place = atomic_load_explicit(&table->places[endpoint][kind], memory_order_relaxed);
    struct series *series = &table->series[place ? place : series_new(table, endpoint, kind)];

    atomic_fetch_add_explicit(&series->counts[bucket_of(took_us)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&series->sum_us, took_us, memory_order_relaxed);
}

/* What one series held when it was read. */
struct reading {
    int64_t counts[SERIES_BUCKETS], total, sum_us;
};

/* false: there is no answer of this kind yet. */
static bool add_reading(struct reading *reading, struct answer_table *table, size_t endpoint,
                        size_t kind)
{
    size_t place = atomic_load_explicit(&table->places[endpoint][kind], memory_order_relaxed);
    struct series *series = &table->series[place];
    int64_t before = reading->total;

    if (place == SERIES_REST && !is_rest(endpoint, kind))
        return false;
    for (size_t i = 0; i < SERIES_BUCKETS; i++) {
        int64_t count = atomic_load_explicit(&series->counts[i], memory_order_relaxed);

        reading->counts[i] += count;
        reading->total += count;
    }
    reading->sum_us += atomic_load_explicit(&series->sum_us, memory_order_relaxed);
    return reading->total > before;
}

/* One metric on its way into *out. */
struct writer {
    struct buf *out;
    struct answer_table *table;
    enum answers_form form;
    const char *name;
    struct buf labels;
};

static void write_histogram(struct writer *w, const struct reading *reading)
{
    struct str labels = buf_view(&w->labels);
    int64_t below = 0;

    for (size_t i = 0; i < COUNT(bounds); i++) {
        below += reading->counts[i];
        if (w->form == ANSWERS_LATENCY ? bounds[i].latency : bounds[i].duration)
            buf_printf(w->out, "%s_bucket{" STR_FMT ",le=\"%s\"} %lld\n", w->name, STR_ARG(labels),
                       bounds[i].seconds, (long long)below);
    }
    buf_printf(w->out, "%s_bucket{" STR_FMT ",le=\"+Inf\"} %lld\n", w->name, STR_ARG(labels),
               (long long)reading->total);
    buf_printf(w->out, "%s_sum{" STR_FMT "} %lld.%06lld\n", w->name, STR_ARG(labels),
               (long long)(reading->sum_us / US_PER_S), (long long)(reading->sum_us % US_PER_S));
    buf_printf(w->out, "%s_count{" STR_FMT "} %lld\n", w->name, STR_ARG(labels),
               (long long)reading->total);
}

/* Paths of routes hold nothing that a label's value would have to escape. */
static void label_kind(struct buf *labels, const char *path, size_t kind)
{
    int status = statuses[kind % COUNT(statuses)];

    buf_clear(labels);
    buf_printf(labels, "method=\"%s\",endpoint=\"%s\",status=\"",
               method_texts[kind / COUNT(statuses)], path);
    if (status)
        buf_printf(labels, "%d\"", status);
    else
        buf_str(labels, STR("other\""));
}

static void write_kinds(struct writer *w, size_t endpoint, const char *path)
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        struct reading reading = { 0 };

        if (!add_reading(&reading, w->table, endpoint, kind))
            continue;
        label_kind(&w->labels, path, kind);
        if (w->form == ANSWERS_DURATION)
            write_histogram(w, &reading);
        else
            buf_printf(w->out, "%s{" STR_FMT "} %lld\n", w->name, STR_ARG(buf_view(&w->labels)),
                       (long long)reading.total);
    }
}

static void write_sum_of_kinds(struct writer *w, size_t endpoint, const char *path)
{
    struct reading reading = { 0 };
    bool seen = false;

    for (size_t kind = 0; kind < KINDS; kind++)
        seen |= add_reading(&reading, w->table, endpoint, kind);
    if (!seen)
        return;
    buf_clear(&w->labels);
    buf_printf(&w->labels, "endpoint=\"%s\"", path);
    write_histogram(w, &reading);
}

static void write_methods(struct writer *w, size_t endpoint, const char *path)
{
    for (size_t method = 0; method < ANSWER_METHODS; method++) {
        struct reading reading = { 0 };
        bool seen = false;

        for (size_t i = 0; i < COUNT(statuses); i++)
            seen |= add_reading(&reading, w->table, endpoint, method * COUNT(statuses) + i);
        if (!seen)
            continue;
        buf_clear(&w->labels);
        buf_printf(&w->labels, "endpoint=\"%s\",method=\"%s\"", path, method_texts[method]);
        write_histogram(w, &reading);
    }
}

void answers_write(struct buf *out, struct segment *segment, enum answers_form form,
                   const char *name, const char *const endpoints[ENDPOINTS])
{
    struct writer w = { .out = out, .table = segment_answers(segment), .form = form, .name = name };

    for (size_t i = 0; i < ENDPOINTS; i++) {
        const char *path = i == ENDPOINT_OTHER ? "other" : endpoints[i];

        if (path && form == ANSWERS_LATENCY)
            write_sum_of_kinds(&w, i, path);
        else if (path && form == ANSWERS_METHOD)
            write_methods(&w, i, path);
        else if (path)
            write_kinds(&w, i, path);
    }
    buf_free(&w.labels);
}
