/* segment.h - memory that all processes of one host and data directory share.
 *
 * /dev/shm/aragora-<device and inode of the data directory>, with that directory's group and
 * permissions. Holds the writers' queue of SQLite, the buckets of the rate limits and the
 * metrics. A new layout is a new file put in place of the old one; a process that has that mapped
 * keeps it. */
#ifndef ARAGORA_SEGMENT_H
#define ARAGORA_SEGMENT_H

#include "common/base/base.h"

#include <stdatomic.h>

struct segment;

#define BUCKET_WAYS 8    /* places that one key may stand in */
#define BUCKETS     8192 /* clients remembered at once on a host */

/* One client of one limit; metrics/rate.c says how it is used. key 0: free. */
struct bucket {
    _Atomic uint64_t key;
    _Atomic int64_t full_at_us; /* monotonic; past: the bucket is full again */
};

/* The BUCKET_WAYS places of a key. */
struct bucket *segment_buckets(struct segment *segment, uint64_t key);

#define METRIC_CELLS 256 /* room for rows of metrics.def */

/* One per enum metric. */
_Atomic int64_t *segment_cells(struct segment *segment);

#define ENDPOINTS      4096  /* paths of routes, those of other releases too */
#define ANSWER_KINDS   256   /* of one endpoint: method and status */
#define SERIES         16384 /* kinds that were seen, of all endpoints */
#define SERIES_BUCKETS 13

/* How long the answers of one kind took. */
struct series {
    _Atomic int64_t sum_us;
    _Atomic int64_t counts[SERIES_BUCKETS];
};

/* metrics/answers.c says how it is used. */
struct answer_table {
    _Atomic uint64_t endpoints[ENDPOINTS]; /* hash of the path; 0: free */
    _Atomic uint32_t last;                 /* of the series in use */
    _Atomic uint16_t places[ENDPOINTS][ANSWER_KINDS];
    struct series series[SERIES];
};

struct answer_table *segment_answers(struct segment *segment);

#define TALLIES       4096 /* series with labels, of all metrics */
#define TALLY_BUCKETS 13
#define TALLY_LABELS  256 /* bytes, as Prometheus writes them */

/* One series; metrics/series.c says how it is used. */
struct tally {
    _Atomic uint64_t key;   /* of metric and labels; 0: free */
    _Atomic uint32_t ready; /* metric and labels are written */
    uint32_t metric;
    _Atomic int64_t sum;
    _Atomic int64_t counts[TALLY_BUCKETS];
    char labels[TALLY_LABELS];
};

struct tally *segment_tallies(struct segment *segment);

#define GAUGES 256 /* of all processes of the host */

/* What one process says of one gauge. */
struct process_gauge {
    _Atomic uint64_t owner; /* process id and metric; 0: free */
    _Atomic int64_t value;
};

struct process_gauge *segment_gauges(struct segment *segment);

/* *out is the caller's, for segment_close(). The directory must exist. ERR_SYSTEM. */
MUST_USE enum result segment_open(struct segment **out, const char *data_directory);
void segment_close(struct segment *segment); /* NULL is fine; the file stays for the others */
/* Removes the file; who has it mapped keeps it. For a data directory that goes away. */
void segment_remove(const char *data_directory);

/* One holder per host; a dead one's hold passes on. ERR_DATABASE_BUSY after limit_us. */
MUST_USE enum result segment_writer_lock(struct segment *segment, int64_t limit_us);
void segment_writer_unlock(struct segment *segment);

#endif
