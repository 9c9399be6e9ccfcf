/* series.c - a hash table of series, without a lock.
 *
 * A place is claimed by its key, then its labels are written, then it is ready to be shown.
 * Events count in it from the claim on. How many series a metric has stands in its cell. */
#include "common/metrics/series.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define PROBES 32

static struct segment *here;

void series_use(struct segment *segment)
{
    here = segment;
}

/* Backslash, quote and line break are what a value must not hold as they are. */
static void add_value(struct buf *out, struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] == '\n')
            buf_str(out, STR("\\n"));
        else {
            if (value.at[i] == '"' || value.at[i] == '\\')
                buf_char(out, '\\');
            buf_char(out, value.at[i]);
        }
    }
}

static void write_labels(struct buf *out, const char *names, struct labels labels)
{
    struct str rest = str_from(names), name;

    for (size_t i = 0; i < LABELS_MAX && rest.len && str_split(&name, &rest, ','); i++) {
        buf_printf(out, "%s" STR_FMT "=\"", i ? "," : "", STR_ARG(name));
        add_value(out, str_is_text(labels.at[i]) ? str_cut(labels.at[i], 64) : STR("other"));
        buf_char(out, '"');
    }
}

static uint64_t key_of(enum metric metric, struct labels labels)
{
    uint64_t key = (uint64_t)metric + 1;

    for (size_t i = 0; i < LABELS_MAX; i++)
        key = (key ^ str_hash(labels.at[i])) * UINT64_C(0x9e3779b97f4a7c15);
    return key | 1;
}

static void announce(struct tally *tally, enum metric metric, struct labels labels)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    write_labels(&text, series_row(metric)->labels, labels);
    if (text.len < TALLY_LABELS) {
        memcpy(tally->labels, text.at ? text.at : "", text.len);
        tally->labels[text.len] = '\0';
        tally->metric = metric;
        atomic_store_explicit(&tally->ready, 1, memory_order_release);
    }
}

/* NULL: there is no room. */
static struct tally *find(enum metric metric, struct labels labels, bool last)
{
    struct tally *tallies = segment_tallies(here);
    _Atomic int64_t *made = &segment_cells(here)[metric];
    uint64_t key = key_of(metric, labels);

    for (size_t i = 0; i < PROBES; i++) {
        struct tally *tally = &tallies[(key / 2 + i) % TALLIES];
        uint64_t held = atomic_load_explicit(&tally->key, memory_order_acquire);

        if (held == key)
            return tally;
        if (held)
            continue;
        if (!last && atomic_load(made) >= SERIES_MAX)
            return NULL;
        if (atomic_compare_exchange_strong(&tally->key, &held, key)) {
            atomic_fetch_add(made, 1);
            announce(tally, metric, labels);
            return tally;
        }
        if (held == key)
            return tally;
    }
    return NULL;
}

static size_t bucket_of(const int64_t *bounds, int64_t value)
{
    size_t i = 0;

    while (bounds && bounds[i] && value > bounds[i])
        i++;
    return i;
}

void series_add(enum metric metric, struct labels labels, int64_t n)
{
    const struct series_row *row = series_row(metric);
    struct tally *tally = here ? find(metric, labels, false) : NULL;

    if (here && !tally)
        tally = find(metric, LABELS(STR("other"), STR("other"), STR("other")), true);
    if (!tally)
        return;
    if (row->bounds)
        atomic_fetch_add_explicit(&tally->counts[bucket_of(row->bounds, n)], 1,
                                  memory_order_relaxed);
    atomic_fetch_add_explicit(&tally->sum, n, memory_order_relaxed);
}

/* --- Showing ----------------------------------------------------------------------------- */

/* A value in the row's unit, without a loss. */
static void write_number(struct buf *out, int64_t value, int64_t unit)
{
    if (unit == 1)
        buf_printf(out, "%lld", (long long)value);
    else
        buf_printf(out, "%lld.%06lld", (long long)(value / unit),
                   value % unit * (1000000LL / unit));
}

static void write_sample(struct buf *out, const char *name, const char *suffix, const char *labels,
                         int64_t value, int64_t unit)
{
    buf_printf(out, *labels ? "%s%s{%s} " : "%s%s%s ", name, suffix, labels);
    write_number(out, value, unit);
    buf_char(out, '\n');
}

static void write_histogram(struct buf *out, const struct series_row *row, struct tally *tally)
{
    const char *comma = tally->labels[0] ? "," : "";
    int64_t below = 0;
    size_t i = 0;

    for (; row->bounds[i]; i++) {
        below += atomic_load_explicit(&tally->counts[i], memory_order_relaxed);
        buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", row->name, tally->labels, comma,
                   (double)row->bounds[i] / (double)row->unit, (long long)below);
    }
    below += atomic_load_explicit(&tally->counts[i], memory_order_relaxed);
    buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", row->name, tally->labels, comma,
               (long long)below);
    write_sample(out, row->name, "_sum", tally->labels,
                 atomic_load_explicit(&tally->sum, memory_order_relaxed), row->unit);
    write_sample(out, row->name, "_count", tally->labels, below, 1);
}

void series_write(struct buf *out, struct segment *segment, enum metric metric,
                  const struct series_row *row)
{
    struct tally *tallies = segment_tallies(segment);

    for (size_t i = 0; i < TALLIES; i++) {
        if (!atomic_load_explicit(&tallies[i].ready, memory_order_acquire) ||
            tallies[i].metric != (uint32_t)metric)
            continue;
        if (row->bounds)
            write_histogram(out, row, &tallies[i]);
        else
            write_sample(out, row->name, "", tallies[i].labels,
                         atomic_load_explicit(&tallies[i].sum, memory_order_relaxed), row->unit);
    }
}

/* --- Gauges ------------------------------------------------------------------------------ */

static uint64_t owner_of(pid_t process, enum metric metric)
{
    return (uint64_t)process << 16 | ((uint64_t)metric + 1);
}

static bool is_gone(uint64_t owner)
{
    return kill((pid_t)(owner >> 16), 0) != 0 && errno == ESRCH;
}

void series_gauge(enum metric metric, int64_t value)
{
    uint64_t own = owner_of(getpid(), metric);
    struct process_gauge *gauges = here ? segment_gauges(here) : NULL;

    for (size_t i = 0; gauges && i < GAUGES; i++) {
        uint64_t held = atomic_load(&gauges[i].owner);

        if (held != own && held && !is_gone(held))
            continue;
        if (held != own && !atomic_compare_exchange_strong(&gauges[i].owner, &held, own))
            continue;
        atomic_store(&gauges[i].value, value);
        return;
    }
}

void series_write_gauge(struct buf *out, struct segment *segment, enum metric metric,
                        const char *name)
{
    struct process_gauge *gauges = segment_gauges(segment);
    int64_t sum = 0;

    for (size_t i = 0; i < GAUGES; i++) {
        uint64_t owner = atomic_load(&gauges[i].owner);

        if (owner && (owner & UINT16_MAX) == (uint64_t)metric + 1 && !is_gone(owner))
            sum += atomic_load(&gauges[i].value);
    }
    buf_printf(out, "%s %lld\n", name, (long long)sum);
}
