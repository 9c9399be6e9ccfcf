/* file.h - whole small files, directories, the limit of descriptors. */
#ifndef ARAGORA_FILE_H
#define ARAGORA_FILE_H

#include "common/base/arena.h"

#include <sys/types.h>

/* ERR_NOT_FOUND: none there; ERR_SYSTEM: unreadable, or over max bytes. */
MUST_USE enum result file_read(struct str *out, struct arena *arena, struct str path, size_t max);
/* Written beside, synced, renamed: there is the old file or the new one. ERR_SYSTEM. */
MUST_USE enum result file_write(struct arena *arena, struct str path, struct str content,
                                mode_t mode);
/* As file_write(), but fails with ERR_ALREADY_EXISTS if a file is there, also in a race. */
MUST_USE enum result file_create(struct arena *arena, struct str path, struct str content,
                                 mode_t mode);
/* The directory and its parents. ERR_SYSTEM. */
MUST_USE enum result directory_make(struct arena *arena, struct str path, mode_t mode);
/* As many open files as the process may have; it keeps what it has if it may not. */
void descriptors_raise(void);

#endif
