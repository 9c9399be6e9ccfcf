#include "common/metrics/metrics.h"

#include "common/metrics/answers.h"
#include "common/metrics/series.h"

#include <assert.h>

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

#define MS   INT64_C(1000)
#define S    (1000 * MS)
#define NONE NULL

/* Upper bounds of histograms, as metrics.def names them; micro-seconds, or counts. */
static const int64_t calls[] = { 100 * MS, 250 * MS, 500 * MS, 1 * S,   2500 * MS, 5 * S,
                                 10 * S,   30 * S,   60 * S,   120 * S, 0 };
static const int64_t debates[] = { 1 * S,   5 * S,   10 * S,  30 * S,   60 * S, 120 * S,
                                   300 * S, 600 * S, 900 * S, 1200 * S, 0 };
static const int64_t phases[] = {
    100 * MS, 500 * MS, 1 * S, 2 * S, 5 * S, 10 * S, 30 * S, 60 * S, 0
};
static const int64_t rounds[] = { 1, 2, 3, 4, 5, 7, 10, 0 };
static const int64_t queries[] = { 1 * MS,   5 * MS,   10 * MS, 25 * MS,   50 * MS, 100 * MS,
                                   250 * MS, 500 * MS, 1 * S,   2500 * MS, 0 };

static const struct row {
    enum metric_type type;
    const char *name;
    const char *labels;
    enum answers_form form; /* ANSWERS_NONE: it has a cell, or series */
    const char *help;
    struct series_row series; /* .unit 0: it has none */
    bool of_processes;        /* a gauge that each process sets */
} rows[] = {
#define METRIC(id, type, name, labels, help) { type, name, labels, ANSWERS_NONE, help },
#define ANSWERS(id, type, name, form, help)  { type, name, "", form, help },
#define LABELLED(id, type, name, labels, bounds, unit, help)                                       \
    { type, name, labels, ANSWERS_NONE, help, { name, labels, bounds, unit } },
#define PROCESSES(id, name, help) { GAUGE, name, "", ANSWERS_NONE, help, { 0 }, true },
#include "common/metrics/metrics.def"
#undef METRIC
#undef ANSWERS
#undef LABELLED
#undef PROCESSES
};

static_assert(METRIC_COUNT <= METRIC_CELLS, "the segment has too few cells");

void metric_add(struct segment *segment, enum metric metric, int64_t n)
{
    if (segment)
        atomic_fetch_add_explicit(&segment_cells(segment)[metric], n, memory_order_relaxed);
}

void metric_set(struct segment *segment, enum metric metric, int64_t value)
{
    if (segment)
        atomic_store_explicit(&segment_cells(segment)[metric], value, memory_order_relaxed);
}

int64_t metric_get(struct segment *segment, enum metric metric)
{
    return segment ? atomic_load_explicit(&segment_cells(segment)[metric], memory_order_relaxed)
                   : 0;
}

const struct series_row *series_row(enum metric metric)
{
    return &rows[metric].series;
}

static bool same_name(enum metric a, enum metric b)
{
    return strcmp(rows[a].name, rows[b].name) == 0;
}

static bool is_first_of_name(enum metric metric)
{
    for (enum metric i = 0; i < metric; i++)
        if (same_name(i, metric))
            return false;
    return true;
}

static void write_header(struct buf *out, const struct row *row)
{
    static const char *const types[] = { "counter", "gauge", "histogram" };

    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
               types[row->type]);
}

static void write_cell(struct buf *out, struct segment *segment, enum metric metric)
{
    const struct row *row = &rows[metric];
    int64_t value = atomic_load_explicit(&segment_cells(segment)[metric], memory_order_relaxed);

    buf_printf(out, row->labels[0] ? "%s{%s} %lld\n" : "%s%s %lld\n", row->name, row->labels,
               (long long)value);
}

static void write_shared(struct buf *out, struct segment *segment, enum metric metric)
{
    if (rows[metric].of_processes)
        series_write_gauge(out, segment, metric, rows[metric].name);
    else
        series_write(out, segment, metric, &rows[metric].series);
}

void metrics_write(struct buf *out, struct segment *segment, const char *const endpoints[ENDPOINTS])
{
    for (enum metric i = 0; i < METRIC_COUNT; i++) {
        if (!is_first_of_name(i))
            continue;
        write_header(out, &rows[i]);
        if (rows[i].form != ANSWERS_NONE) {
            answers_write(out, segment, rows[i].form, rows[i].name, endpoints);
            continue;
        }
        if (rows[i].series.unit || rows[i].of_processes) {
            write_shared(out, segment, i);
            continue;
        }
        for (enum metric j = i; j < METRIC_COUNT; j++)
            if (same_name(i, j))
                write_cell(out, segment, j);
    }
}
