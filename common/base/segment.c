/* segment.c - one mapped file and the mutex in it.
 *
 * Whoever opens it holds a lock on the data directory meanwhile. After an upgrade all programs
 * find the old layout at once, and each would otherwise replace what another has just made.
 *
 * The mutex is process-shared and robust: a holder that was killed passes it on with
 * EOWNERDEAD, and since it only orders the queue (SQLite's own lock protects the data) there is
 * nothing to repair. */
#include "common/base/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEGMENT_MAGIC   UINT64_C(0x41524147534547)
#define SEGMENT_VERSION 4

struct layout {
    uint64_t magic;
    uint32_t version, size;
    pthread_mutex_t writers;
    struct bucket buckets[BUCKETS];
    _Atomic int64_t cells[METRIC_CELLS];
    struct answer_table answers;
    struct tally tallies[TALLIES];
    struct process_gauge gauges[GAUGES];
};

struct segment {
    struct layout *at;
};

static bool prepare(struct layout *layout)
{
    pthread_mutexattr_t attributes;

    if (pthread_mutexattr_init(&attributes) != 0)
        return false;
    bool good = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0 &&
                pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
                pthread_mutex_init(&layout->writers, &attributes) == 0;
    pthread_mutexattr_destroy(&attributes);
    layout->version = SEGMENT_VERSION;
    layout->size = sizeof(*layout);
    layout->magic = SEGMENT_MAGIC;
    return good;
}

/* A finished file under name, made beside and linked into place; another process may win. */
static bool create(const char *name, const struct stat *directory)
{
    char beside[128];
    mode_t mode = 0600 | (directory->st_mode & 060);

    snprintf(beside, sizeof(beside), "%s.%ld", name, (long)getpid());
    int fd = open(beside, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return false;
    bool good = fchmod(fd, mode) == 0 && ftruncate(fd, sizeof(struct layout)) == 0;
    struct layout *layout =
        good ? mmap(NULL, sizeof(*layout), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    good = layout != MAP_FAILED && prepare(layout);
    if (layout != MAP_FAILED)
        munmap(layout, sizeof(*layout));
    if (mode & 060)
        good = good && fchown(fd, (uid_t)-1, directory->st_gid) == 0;
    close(fd);
    good = good && (link(beside, name) == 0 || errno == EEXIST);
    (void)unlink(beside);
    return good;
}

/* NULL: not there, or another layout. */
static struct layout *map(const char *name)
{
    int fd = open(name, O_RDWR | O_CLOEXEC);
    struct stat info;
    struct layout *at = NULL;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &info) == 0 && info.st_size == sizeof(*at)) {
        at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED)
            at = NULL;
    }
    close(fd);
    if (at && (at->magic != SEGMENT_MAGIC || at->version != SEGMENT_VERSION)) {
        munmap(at, sizeof(*at));
        at = NULL;
    }
    return at;
}

#define NAME_BYTES 96

static bool name_of(char name[NAME_BYTES], struct stat *info, const char *data_directory)
{
    if (stat(data_directory, info) != 0)
        return false;
    snprintf(name, NAME_BYTES, "/dev/shm/aragora-%llx-%llx", (unsigned long long)info->st_dev,
             (unsigned long long)info->st_ino);
    return true;
}

void segment_remove(const char *data_directory)
{
    char name[NAME_BYTES];
    struct stat info;

    if (name_of(name, &info, data_directory))
        (void)unlink(name); /* not there: nothing to do */
}

/* NULL: it cannot be made. */
static struct layout *map_or_create(const char *name, const struct stat *directory)
{
    struct layout *at = map(name);

    if (at)
        return at;
    if (access(name, F_OK) == 0)
        (void)unlink(name); /* another layout: whoever has it mapped keeps it */
    return create(name, directory) ? map(name) : NULL;
}

enum result segment_open(struct segment **out, const char *data_directory)
{
    char name[NAME_BYTES];
    struct stat info;
    int lock = open(data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (lock < 0)
        return ERR_SYSTEM;
    (void)flock(lock, LOCK_EX); /* where the file system has none, it goes without */
    struct layout *at = name_of(name, &info, data_directory) ? map_or_create(name, &info) : NULL;
    close(lock);
    if (!at)
        return ERR_SYSTEM;
    struct segment *segment = malloc(sizeof(*segment));
    if (!segment)
        abort();
    segment->at = at;
    *out = segment;
    return OK;
}

void segment_close(struct segment *segment)
{
    if (!segment)
        return;
    munmap(segment->at, sizeof(*segment->at));
    free(segment);
}

struct bucket *segment_buckets(struct segment *segment, uint64_t key)
{
    return &segment->at->buckets[key % (BUCKETS / BUCKET_WAYS) * BUCKET_WAYS];
}

_Atomic int64_t *segment_cells(struct segment *segment)
{
    return segment->at->cells;
}

struct answer_table *segment_answers(struct segment *segment)
{
    return &segment->at->answers;
}

struct tally *segment_tallies(struct segment *segment)
{
    return segment->at->tallies;
}

struct process_gauge *segment_gauges(struct segment *segment)
{
    return segment->at->gauges;
}

enum result segment_writer_lock(struct segment *segment, int64_t limit_us)
{
    struct timespec until;
    int reason = pthread_mutex_trylock(&segment->at->writers);

    if (reason == EBUSY) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + limit_us % US_PER_S * 1000;
        until.tv_sec += limit_us / US_PER_S + ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        reason = pthread_mutex_clocklock(&segment->at->writers, CLOCK_MONOTONIC, &until);
    }
    if (reason == EOWNERDEAD)
        reason = pthread_mutex_consistent(&segment->at->writers);
    return reason == 0 ? OK : ERR_DATABASE_BUSY;
}

void segment_writer_unlock(struct segment *segment)
{
    pthread_mutex_unlock(&segment->at->writers);
}
