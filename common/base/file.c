#include "common/base/file.h"

#include "common/base/id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

enum result file_read(struct str *out, struct arena *arena, struct str path, size_t max)
{
    CLEANUP(close_fd) int fd = open(arena_cstr(arena, path), O_RDONLY | O_CLOEXEC);
    struct stat info;
    size_t len = 0;

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_SYSTEM;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || (size_t)info.st_size > max)
        return ERR_SYSTEM;
    char *at = arena_alloc(arena, (size_t)info.st_size + 1);
    while (len < (size_t)info.st_size) {
        ssize_t got = read(fd, at + len, (size_t)info.st_size - len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    *out = (struct str){ at, len };
    return OK;
}

static bool write_all(int fd, struct str content)
{
    while (content.len) {
        ssize_t put = write(fd, content.at, content.len);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        content = str_slice(content, (size_t)put, content.len);
    }
    return fsync(fd) == 0;
}

static void sync_parent(struct arena *arena, struct str path)
{
    size_t len = path.len;

    while (len && path.at[len - 1] != '/')
        len--;
    struct str parent = len ? str_slice(path, 0, len) : STR(".");
    CLEANUP(close_fd) int fd = open(arena_cstr(arena, parent), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd); /* some file systems refuse it; the data is written all the same */
}

/* A finished temporary file beside path; its name in *out. */
static enum result write_beside(const char **out, struct arena *arena, struct str path,
                                struct str content, mode_t mode)
{
    struct str random = id_random(arena, "", 16); /* threads of one process may write at once */
    const char *name =
        arena_printf(arena, STR_FMT "." STR_FMT ".tmp", STR_ARG(path), STR_ARG(random)).at;
    CLEANUP(close_fd) int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    if (fd < 0)
        return ERR_SYSTEM;
    if (fchmod(fd, mode) != 0 || !write_all(fd, content)) {
        (void)unlink(name);
        return ERR_SYSTEM;
    }
    *out = name;
    return OK;
}

enum result file_write(struct arena *arena, struct str path, struct str content, mode_t mode)
{
    const char *name;

    TRY(write_beside(&name, arena, path, content, mode));
    if (rename(name, arena_cstr(arena, path)) != 0) {
        (void)unlink(name);
        return ERR_SYSTEM;
    }
    sync_parent(arena, path);
    return OK;
}

enum result file_create(struct arena *arena, struct str path, struct str content, mode_t mode)
{
    const char *name;

    TRY(write_beside(&name, arena, path, content, mode));
    /* link() fails where rename() would replace. */
    int linked = link(name, arena_cstr(arena, path));
    int reason = errno;
    (void)unlink(name);
    if (linked != 0)
        return reason == EEXIST ? ERR_ALREADY_EXISTS : ERR_SYSTEM;
    sync_parent(arena, path);
    return OK;
}

enum result directory_make(struct arena *arena, struct str path, mode_t mode)
{
    char *at = arena_alloc(arena, path.len + 1);
    struct stat info;

    memcpy(at, path.at, path.len);
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && at[i] != '/')
            continue;
        char kept = at[i];
        at[i] = '\0';
        if (mkdir(at, i == path.len ? mode : 0755) != 0 && errno != EEXIST)
            return ERR_SYSTEM;
        at[i] = kept;
    }
    return stat(at, &info) == 0 && S_ISDIR(info.st_mode) ? OK : ERR_SYSTEM;
}

void descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}
