/* segment.h - memory that all processes of one host and data directory share.
 *
 * /dev/shm/aragora-<device and inode of the data directory>, with that directory's group and
 * permissions. Holds the writers' queue of SQLite. A new layout is a new file put in place by
 * rename; a process that has the old one mapped keeps it. */
#ifndef ARAGORA_SEGMENT_H
#define ARAGORA_SEGMENT_H

#include "common/base/base.h"

struct segment;

/* *out is the caller's, for segment_close(). The directory must exist. ERR_SYSTEM. */
MUST_USE enum result segment_open(struct segment **out, const char *data_directory);
void segment_close(struct segment *segment); /* NULL is fine; the file stays for the others */

/* One holder per host; a dead one's hold passes on. ERR_DATABASE_BUSY after limit_us. */
MUST_USE enum result segment_writer_lock(struct segment *segment, int64_t limit_us);
void segment_writer_unlock(struct segment *segment);

#endif
