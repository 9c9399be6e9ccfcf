/* serve.c - aragora serve: workers on one shared socket, the daemons, the web server in front.
 *
 * One socket for all workers is one queue: no request waits behind a busy worker while another
 * is idle (pitfalls, lighttpd 4). Elsewhere: keeping children alive (supervise.c). */
#include "cli/become.h"
#include "cli/certificate.h"
#include "cli/command.h"
#include "cli/open_grant.h"
#include "cli/probe.h"
#include "cli/startup.h"
#include "cli/supervise.h"
#include "cli/web_server.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/local_socket.h"
#include "common/base/segment.h"
#include "common/metrics/metrics.h"
#include "common/store/apikey.h"
#include "common/trace/trace.h"
#include "handlers/handler.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

/* More requests than lighttpd has at a time: it answers 500 when the queue is full. */
#define BACKLOG 1024

enum stage { STAGE_BACK, STAGE_WEB }; /* the web server is ended first */

struct front;

struct server {
    const char *host;
    int port;
    int stream_port;               /* 0: none */
    const char *certificate, *key; /* NULL: no TLS */
    const struct front *front;
    struct segment *segment; /* NULL: it cannot be opened */
};

/* A program beside this one. */
static const char *sibling(struct arena *arena, const char *name)
{
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self));

    while (len > 0 && self[len - 1] != '/')
        len--;
    return arena_printf(arena, "%.*s%s", (int)(len > 0 ? len : 0), self, name).at;
}

/* Up to three arguments behind the program; NULL: none. */
static const char *const *command_line(struct arena *arena, const char *program, const char *a,
                                       const char *b, const char *c)
{
    const char **argv = arena_array(arena, 5, sizeof(*argv));

    argv[0] = program;
    argv[1] = a;
    argv[2] = b;
    argv[3] = c;
    return argv;
}

/* The greatest body that the setting or a route of its own allows. */
static int64_t body_limit(void)
{
    int64_t limit = setting_int(SETTING_MAX_REQUEST_SIZE);

    for (const struct route *const *table = route_tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            if (route->body_bytes > limit)
                limit = route->body_bytes;
    return limit;
}

/* What stands in front: how it is configured, started and gracefully stopped. */
static const struct front {
    const char *name, *file; /* file: below run/ */
    enum result (*configure)(struct arena *arena, struct str path, const struct web_server *server);
    const char *command[3]; /* the configuration follows */
    int stop;
    bool starts_workers;
} fronts[] = {
    { "lighttpd", "lighttpd.conf", lighttpd_configure, { "lighttpd", "-D", "-f" }, SIGINT, false },
    { "apache",
      "apache.conf",
      apache_configure,
      { "apache2", "-DFOREGROUND", "-f" },
      SIGWINCH,
      true },
};

static const struct front *front_find(const char *name)
{
    for (size_t i = 0; i < COUNT(fronts); i++)
        if (strcmp(fronts[i].name, name) == 0)
            return &fronts[i];
    return NULL;
}

static bool add_workers(struct supervisor *supervisor, struct arena *arena,
                        const struct web_server *web)
{
    int fd = local_listener(web->socket, BACKLOG); /* several workers wake for one connection */

    if (fd < 0) {
        fprintf(stderr, "aragora: " STR_FMT ": %s\n", STR_ARG(web->socket), strerror(errno));
        return false;
    }
    for (int64_t i = 0; i < web->workers; i++)
        supervisor_add(supervisor, command_line(arena, web->worker.at, NULL, NULL, NULL), fd,
                       SIGTERM, STAGE_BACK);
    return true;
}

static const char *const daemons[] = { "aragora-debated", "aragora-streamd" };

static void add_daemons(struct supervisor *supervisor, struct arena *arena)
{
    for (size_t i = 0; i < COUNT(daemons); i++) {
        const char *path = sibling(arena, daemons[i]);

        if (access(path, X_OK) == 0)
            supervisor_add(supervisor, command_line(arena, path, NULL, NULL, NULL), -1, SIGTERM,
                           STAGE_BACK);
    }
}

/* The children, not started. NULL: said why. data: the directory, absolute. */
static struct supervisor *prepare(struct arena *arena, const struct server *server,
                                  const char *data)
{
    const struct front *front = server->front;
    struct str configuration = arena_printf(arena, "%s/run/%s", data, front->file);
    struct web_server web = {
        .host = server->host,
        .port = server->port,
        .stream_port = server->stream_port,
        .certificate = server->certificate,
        .key = server->key,
        .stream_socket = arena_printf(arena, "%s/run/stream.sock", data),
        .data = str_from(data),
        .socket = arena_printf(arena, "%s/run/fcgi.sock", data),
        .worker = str_from(sibling(arena, "aragora-fcgi")),
        .workers = setting_int(SETTING_WORKERS),
        .body_bytes = body_limit(),
    };

    if (directory_make(arena, arena_printf(arena, "%s/run", data), 0700) != OK ||
        directory_make(arena, arena_printf(arena, "%s/log", data), 0700) != OK ||
        front->configure(arena, configuration, &web) != OK) {
        fprintf(stderr, "aragora: %s: the web server's configuration cannot be written\n", data);
        return NULL;
    }
    struct supervisor *supervisor =
        supervisor_new(arena, &supervisor_times, (size_t)web.workers + COUNT(daemons) + 1);
    if (!front->starts_workers && !add_workers(supervisor, arena, &web))
        return NULL;
    add_daemons(supervisor, arena);
    supervisor_add(supervisor,
                   command_line(arena, front->command[0], front->command[1], front->command[2],
                                configuration.at),
                   -1, front->stop, STAGE_WEB);
    return supervisor;
}

/* Through the web server a worker answers that the database is there; the stream answers too. */
static bool is_ready(void *context)
{
    const struct server *server = context;

    const bool tls = server->certificate != NULL;

    return probe_get(server->host, server->port, tls, "/readyz", 2) == 200 &&
           (!server->stream_port ||
            probe_get(server->host, server->stream_port, tls, "/health", 2) == 200);
}

static void announce(void *context)
{
    const struct server *server = context;
    bool six = strchr(server->host, ':') != NULL;

    printf("aragora: ready on %s://%s%s%s:%d\n", server->certificate ? "https" : "http",
           six ? "[" : "", server->host, six ? "]" : "", server->port);
    fflush(stdout);
}

/* Whoever spreads requests over several servers sees it at the next probe. */
static void begin_drain(void *context)
{
    const struct server *server = context;

    metric_set(server->segment, METRIC_DRAINING_UNTIL,
               utc_now().us / US_PER_S + (int64_t)setting_real(SETTING_DRAIN) + 1);
}

/* The children read the same settings from the environment; a flag must reach them too. The web
 * server is in sbin, which is not on everyone's path. */
static void share_settings(struct arena *arena)
{
    const char *path = getenv("PATH");

    for (enum setting i = 0; i < SETTING_COUNT; i++)
        if (setting_origin(i) == ORIGIN_FLAG)
            setenv(setting_row(i)->name, setting_cstr(i), 1);
    setenv("PATH",
           arena_printf(arena, "%s%s/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin",
                        path ? path : "", path && *path ? ":" : "")
               .at,
           1);
}

/* Whoever starts a new server must be able to call it (decision 1). */
static enum result first_key(struct db *db)
{
    struct list keys;
    struct str key;

    if (setting_str(SETTING_API_TOKEN).len)
        return OK;
    TRY(apikey_list(&keys, db));
    if (keys.count)
        return OK;
    TRY(apikey_create(&key, db, USER_OWNER, STR("first start"), (struct json_text){ STR("[]") },
                      0));
    fprintf(stderr, "owner key: " STR_FMT "\n", STR_ARG(key));
    return OK;
}

static bool database_prepared(struct arena *arena, uid_t starter)
{
    CLEANUP(db_cleanup) struct db *db = NULL; /* closed before any fork */

    if (command_database(&db, arena, NULL) != OK)
        return false;
    if (open_grant(db, starter) != OK)
        return false;
    if (first_key(db) == OK)
        return true;
    fprintf(stderr, "aragora: the owner's key cannot be made: %s\n", db_problem(db));
    return false;
}

/* The port if it is free; -1: said why not. */
static int take_port(const char *host, enum setting setting)
{
    int64_t wanted = setting_int(setting);
    int port = probe_port(host, (int)wanted);

    if (port < 0)
        fprintf(stderr, "aragora: %s port %lld: %s\n", host, (long long)wanted, strerror(errno));
    return port;
}

/* A flag names the port itself, whatever the mode. */
static enum setting web_port(void)
{
    return setting_flag(SETTING_FASTAPI) && setting_given(SETTING_FASTAPI_PORT) &&
                   setting_origin(SETTING_HTTP_PORT) != ORIGIN_FLAG
               ? SETTING_FASTAPI_PORT
               : SETTING_HTTP_PORT;
}

/* Ports of streams that have no feed yet: nothing is opened for them (and said when asked for). */
static void tell_reserved_ports(void)
{
    static const enum setting reserved[] = { SETTING_CONTROL_PORT, SETTING_NOMIC_PORT,
                                             SETTING_CANVAS_PORT };

    for (size_t i = 0; i < COUNT(reserved); i++)
        if (setting_given(reserved[i]) && setting_int(reserved[i]))
            fprintf(stderr,
                    "aragora: %s: its stream is not part of this version; the port stays"
                    " closed\n",
                    setting_row(reserved[i])->name);
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    const char *web = argument_last(arguments, OPTION_WEB_SERVER);
    const char *user = argument_last(arguments, OPTION_USER);
    const char *problem;
    uid_t starter = getuid();
    struct server server = { .host = setting_cstr(SETTING_BIND_HOST),
                             .front = front_find(web ? web : "lighttpd") };

    if (arguments->count || !server.front)
        return command_misused(arguments->command);
    if (trace_check(&problem) != OK) {
        fprintf(stderr, "aragora: %s\n", problem);
        return EXIT_FAILED;
    }
    if (user && become_user(user, setting_cstr(SETTING_DATA_DIR)) != OK)
        return EXIT_FAILED;
    if (server.front->starts_workers && geteuid() == 0) {
        fputs("aragora: the children of apache refuse to be root: give --user NAME\n", stderr);
        return EXIT_FAILED;
    }
    if (!startup_good() || !certificate_take(arena, &server.certificate, &server.key))
        return EXIT_FAILED;
    server.port = take_port(server.host, web_port());
    if (server.port >= 0 && setting_int(SETTING_WS_PORT))
        server.stream_port = take_port(server.host, SETTING_WS_PORT);
    if (server.port < 0 || server.stream_port < 0)
        return EXIT_FAILED;
    tell_reserved_ports();
    if (!database_prepared(arena, starter))
        return EXIT_FAILED;
    share_settings(arena);
    char *data = realpath(setting_cstr(SETTING_DATA_DIR), NULL);
    struct supervisor *supervisor = data ? prepare(arena, &server, data) : NULL;
    free(data);
    if (!supervisor)
        return EXIT_FAILED;
    if (segment_open(&server.segment, setting_cstr(SETTING_DATA_DIR)) != OK)
        fputs("aragora: no shared memory: limits and readiness cannot be told\n", stderr);
    metric_set(server.segment, METRIC_DRAINING_UNTIL, 0); /* of the one before */
    if (setting_real(SETTING_DRAIN) > 0)
        supervisor_drain(supervisor, begin_drain,
                         (int64_t)(setting_real(SETTING_DRAIN) * (double)US_PER_S));
    bool stopped = supervise(supervisor, is_ready, announce, &server);
    segment_close(server.segment);
    if (stopped)
        return EXIT_DONE;
    fprintf(stderr, "aragora: not ready after %lld s; see log/%s.log in %s\n",
            (long long)(supervisor_times.ready_us / US_PER_S), server.front->name,
            setting_cstr(SETTING_DATA_DIR));
    return EXIT_FAILED;
}

static const struct option options[] = {
    { "--host", "HOST", "address to bind", OPTION_SETTING, SETTING_BIND_HOST },
    { "--port", "PORT", "port of the web server; 0 picks a free one", OPTION_SETTING,
      SETTING_HTTP_PORT },
    { "--http-port", "PORT", "the same", OPTION_SETTING, SETTING_HTTP_PORT },
    { "--ws-port", "PORT", "port of the debate stream; 0: none", OPTION_SETTING, SETTING_WS_PORT },
    { "--control-port", "PORT", "kept for the control plane's stream", OPTION_SETTING,
      SETTING_CONTROL_PORT },
    { "--nomic-port", "PORT", "kept for the improvement loop's stream", OPTION_SETTING,
      SETTING_NOMIC_PORT },
    { "--canvas-port", "PORT", "kept for the canvas stream", OPTION_SETTING, SETTING_CANVAS_PORT },
    { "--workers", "N", "worker processes", OPTION_SETTING, SETTING_WORKERS },
    { "--offline", NULL, "no call leaves the machine", OPTION_SETTING, SETTING_OFFLINE },
    { "--static-dir", "DIR", "front end to send outside /api/", OPTION_SETTING,
      SETTING_STATIC_DIR },
    { "--user", "NAME", "root becomes this user first", OPTION_USER, 0 },
    { "--web-server", "NAME", "lighttpd (if not given) or apache", OPTION_WEB_SERVER, 0 },
    OPTION_DATA_DIR,
    { 0 },
};

const struct command command_serve = {
    "serve", "", "run the whole server in the foreground", options, run,
};
