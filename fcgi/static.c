/* static.c - files from ARAGORA_STATIC_DIR.
 *
 * openat2() keeps the search below the directory and refuses symbolic links in the kernel, where
 * no rename can outrun the check; a system without it serves none. The directory is opened anew
 * for each request, so a build that is put in its place by a rename is served at once. */
#include "fcgi/static.h"

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "fcgi/range.h"
#include "fcgi/response.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_BYTES_MAX INT64_C(33554432) /* an answer stands in memory whole */
#define HASH_MIN       8                 /* digits that bundlers put into a name */

struct file {
    int fd; /* -1 with .error, from errno */
    int error;
    bool fallback;   /* index.html for a name that is missing */
    struct str name; /* whose type it has */
    struct stat stat;
};

static void file_close(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

/* Without waiting for the writer of a pipe. */
static void open_below(struct file *file, int root, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    file_close(file);
    file->fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
    file->error = errno;
    if (file->fd >= 0 && fstat(file->fd, &file->stat) != 0) {
        file->error = errno;
        file_close(file);
    }
}

/* The file, a directory's index.html, or the page that finds its way by the address itself. A
 * name that is missing keeps its type. */
static void file_find(struct file *file, struct request *r, int root)
{
    struct str path = str_slice(r->path, 1, r->path.len);

    file->name = path.len ? path : STR("index.html");
    open_below(file, root, arena_cstr(r->arena, file->name));
    if (file->fd >= 0 && S_ISDIR(file->stat.st_mode)) {
        file->name = arena_printf(r->arena, STR_FMT "/index.html", STR_ARG(path));
        open_below(file, root, file->name.at);
    } else if (file->fd < 0 && (file->error == ENOENT || file->error == ENOTDIR)) {
        file->fallback = true;
        open_below(file, root, "index.html");
    }
}

static enum result refuse_error(struct request *r, int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case ENXIO: /* a socket */
        return refuse(r, ERR_NOT_FOUND, .message = STR("File not found"));
    case ELOOP:
        return refuse(r, ERR_FORBIDDEN, .message = STR("Symlinks not allowed"));
    case EXDEV:
        return refuse(r, ERR_FORBIDDEN, .message = STR("Access denied"));
    case ENAMETOOLONG:
        return ERR_INVALID_PATH;
    }
    return refuse(r, ERR_SYSTEM, .message = arena_str(r->arena, str_from(strerror(error))));
}

/* Configuration and history that were left in a build (.env, .git). */
static bool is_hidden(struct str path)
{
    size_t at;

    return str_find(&at, path, STR("/."));
}

static struct str last_part(struct str path, char separator)
{
    size_t at = path.len;

    while (at && path.at[at - 1] != separator)
        at--;
    return str_slice(path, at, path.len);
}

static const char *media_type(const struct file *file)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {
        { "html", "text/html" },
        { "htm", "text/html" },
        { "css", "text/css" },
        { "js", "application/javascript" },
        { "mjs", "application/javascript" },
        { "json", "application/json" },
        { "map", "application/json" },
        { "txt", "text/plain" },
        { "xml", "application/xml" },
        { "svg", "image/svg+xml" },
        { "ico", "image/x-icon" },
        { "png", "image/png" },
        { "jpg", "image/jpeg" },
        { "jpeg", "image/jpeg" },
        { "gif", "image/gif" },
        { "webp", "image/webp" },
        { "woff", "font/woff" },
        { "woff2", "font/woff2" },
        { "ttf", "font/ttf" },
        { "eot", "application/vnd.ms-fontobject" },
        { "wasm", "application/wasm" },
    };
    struct str name = last_part(file->name, '/'), suffix = last_part(name, '.');

    for (size_t i = 0; i < COUNT(types) && suffix.len < name.len; i++)
        if (str_eq_nocase(suffix, str_from(types[i].suffix)))
            return types[i].type;
    return file->fallback ? "text/html" : "application/octet-stream";
}

static bool is_hash(struct str part)
{
    bool digit = false, letter = false;

    for (size_t i = 0; i < part.len; i++) {
        if (part.at[i] >= '0' && part.at[i] <= '9')
            digit = true;
        else if (part.at[i] >= 'a' && part.at[i] <= 'f')
            letter = true;
        else
            return false;
    }
    return part.len >= HASH_MIN && digit && letter; /* a date is no hash */
}

/* app-3f2a9c1b.js: another content has another name. */
static bool is_hashed(struct str path)
{
    struct str rest = last_part(path, '/'), dotted, part;

    while (str_split(&dotted, &rest, '.'))
        while (str_split(&part, &dotted, '-'))
            if (is_hash(part))
                return true;
    return false;
}

/* ERR_UNAVAILABLE: it is being replaced at this moment. */
static enum result read_part(struct str *out, struct request *r, const struct file *file,
                             const struct range *part)
{
    struct buf *body = arena_buf(r->arena);
    size_t size = (size_t)part->count;

    buf_reserve(body, size);
    while (body->len < size) {
        ssize_t got =
            pread(file->fd, body->at + body->len, size - body->len, part->first + (off_t)body->len);

        if (got <= 0)
            return ERR_UNAVAILABLE;
        body->len += (size_t)got;
    }
    *out = buf_view(body);
    return OK;
}

/* A part of what the client has already; of another version it gets the whole. */
static struct str wanted_range(const struct request *r, struct str etag)
{
    struct str known = header(r, "if-range");

    return !known.at || str_eq(str_trim(known), etag) ? header(r, "range") : STR_NONE;
}

static enum result send_part(struct request *r, const struct file *file, const char *type,
                             struct str range)
{
    long long size = file->stat.st_size;
    struct range part;
    struct str body;

    reply_header(r, "Accept-Ranges", STR("bytes"));
    if (range_read(&part, range, size) != OK) {
        reply_header(r, "Content-Range", arena_printf(r->arena, "bytes */%lld", size));
        return ERR_RANGE;
    }
    TRY(read_part(&body, r, file, &part));
    if (part.count == size)
        return reply_text(r, 200, type, body);
    reply_header(r, "Content-Range",
                 arena_printf(r->arena, "bytes %lld-%lld/%lld", (long long)part.first,
                              (long long)(part.first + part.count - 1), size));
    return reply_text(r, 206, type, body);
}

static enum result send_file(struct request *r, const struct file *file)
{
    const char *type = media_type(file);
    const struct timespec *changed = &file->stat.st_mtim;
    struct str etag = arena_printf(r->arena, "\"%llx-%lx-%llx\"", (long long)changed->tv_sec,
                                   changed->tv_nsec, (long long)file->stat.st_size);
    bool lasting = !file->fallback && strcmp(type, "text/html") != 0 && is_hashed(r->path);

    reply_header(r, "ETag", etag);
    reply_header(r, "Cache-Control",
                 lasting ? STR("public, max-age=31536000, immutable") : STR("no-cache"));
    if (etag_known(header(r, "if-none-match"), etag))
        return reply_text(r, 304, NULL, STR(""));
    return send_part(r, file, type, wanted_range(r, etag));
}

static enum result static_file(struct request *r)
{
    CLEANUP(file_close) struct file file = { .fd = -1 };

    if (!setting_str(SETTING_STATIC_DIR).len)
        return refuse(r, ERR_NO_ROUTE, .message = STR("Static directory not configured"));
    if (is_hidden(r->path))
        return refuse_error(r, ENOENT);
    int root = open(setting_cstr(SETTING_STATIC_DIR), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return refuse(r, ERR_SYSTEM, .message = STR("The static directory cannot be opened"));
    file_find(&file, r, root);
    close(root);
    if (file.fd < 0)
        return refuse_error(r, file.error);
    if (!S_ISREG(file.stat.st_mode))
        return refuse_error(r, ENOENT);
    if (file.stat.st_size > FILE_BYTES_MAX) {
        log_event(LOG_WARNING, "static file too large", "path", log_str(r->path), "bytes",
                  log_int(file.stat.st_size));
        return refuse_error(r, ENOENT);
    }
    return send_file(r, &file);
}

/* A page loads dozens of files at once, so no limit counts them. */
const struct route static_route = {
    ROUTE(GET, "/{path*}", static_file),
    .public = true,
    .no_database = true,
    .limit = LIMIT_NONE,
    .raw_query = true,
    .stability = STABLE,
    .reply_type = "application/octet-stream",
    .doc = "A file of the front end",
};
