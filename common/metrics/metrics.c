#include "common/metrics/metrics.h"

#include "common/metrics/answers.h"

#include <assert.h>

enum metric_type { COUNTER, GAUGE, HISTOGRAM };

static const struct row {
    enum metric_type type;
    const char *name;
    const char *labels;
    enum answers_form form; /* ANSWERS_NONE: it has a cell */
    const char *help;
} rows[] = {
#define METRIC(id, type, name, labels, help) { type, name, labels, ANSWERS_NONE, help },
#define ANSWERS(id, type, name, form, help)  { type, name, "", form, help },
#include "common/metrics/metrics.def"
#undef METRIC
#undef ANSWERS
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
        for (enum metric j = i; j < METRIC_COUNT; j++)
            if (same_name(i, j))
                write_cell(out, segment, j);
    }
}
