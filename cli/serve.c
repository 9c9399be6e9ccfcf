/* serve.c - aragora serve: the workers on one shared socket, the web server in front, both kept
 * alive until a signal ends them in order.
 *
 * Children die with this process (PR_SET_PDEATHSIG), so that even its kill -9 leaves none. */
#include "cli/command.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN_MAX 300
#define BACKLOG      64
#define READY_US     (30 * US_PER_S)
#define STOP_US      (15 * US_PER_S)
#define BACKOFF_US   (100 * US_PER_MS) /* doubled at each death up to 5 s, for a short life */

struct child {
    const char *argv[5];
    int input; /* becomes its standard input; -1: none */
    int stop;  /* the signal that ends it gracefully */
    pid_t pid; /* 0: dead */
    int64_t started_us, restart_us, backoff_us;
};

static struct {
    struct child children[CHILDREN_MAX];
    size_t count;
    int port;
} server;

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static void start(struct child *child)
{
    sigset_t none;
    pid_t pid = fork();

    if (pid == 0) {
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (child->input >= 0)
            dup2(child->input, STDIN_FILENO); /* without close-on-exec */
        execvp(child->argv[0], (char *const *)(uintptr_t)child->argv);
        fprintf(stderr, "aragora: %s: %s\n", child->argv[0], strerror(errno));
        _exit(127);
    }
    child->pid = pid > 0 ? pid : 0;
    child->started_us = monotonic_us();
}

static struct child *add(const char *program, int input, int stop)
{
    struct child *child = &server.children[server.count++];

    *child = (struct child){ .argv = { program }, .input = input, .stop = stop };
    return child;
}

/* The socket that all workers accept from: one queue for the whole pool (pitfalls, lighttpd 4). */
static int worker_socket(struct str path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || path.len >= sizeof(address.sun_path))
        return -1;
    memcpy(address.sun_path, path.at, path.len);
    (void)unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, BACKLOG) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* A TCP socket to host and port: bound if listening, else connected. -1 with errno. */
static int tcp_socket(const char *host, int port, bool listening)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *found;
    char service[16];
    int fd, yes = 1;

    snprintf(service, sizeof(service), "%d", port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (fd >= 0 && (listening ? bind(fd, found->ai_addr, found->ai_addrlen)
                              : connect(fd, found->ai_addr, found->ai_addrlen)) != 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* The port that can be bound now; 0 picks one. -1: in use. */
static int choose_port(const char *host, int port)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    int fd = tcp_socket(host, port, true);

    if (fd < 0)
        return -1;
    if (port == 0 && getsockname(fd, (struct sockaddr *)&address, &len) == 0)
        port = ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                                   : ((struct sockaddr_in *)&address)->sin_port);
    close(fd);
    return port;
}

/* Through the web server: a worker answers that the database is there. */
static bool ready(const char *host)
{
    static const char request[] = "GET /readyz HTTP/1.0\r\n\r\n";
    const struct timeval limit = { .tv_sec = 2 };
    char answer[16] = "";
    int fd = tcp_socket(host, server.port, false);

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    bool good = write(fd, request, sizeof(request) - 1) == (ssize_t)sizeof(request) - 1 &&
                read(fd, answer, sizeof(answer) - 1) > 12 && strstr(answer, " 200");
    close(fd);
    return good;
}

static enum result write_configuration(struct arena *arena, struct str path, struct str socket_path)
{
    struct str text = arena_printf(
        arena,
        "# Written by aragora serve at each start.\n"
        "server.modules = (\"mod_fastcgi\")\n"
        "server.document-root = \"/nonexistent\"\n"
        "server.bind = \"%s\"\nserver.port = %d\n"
        "server.errorlog = \"" STR_FMT "\"\n"
        "server.max-request-size = %lld\n"
        "server.http-parseopts = ( \"url-ctrls-reject\" => \"disable\" )\n"
        "fastcgi.server = ( \"/\" => (( \"socket\" => \"" STR_FMT "\",\n"
        "  \"check-local\" => \"disable\", \"fix-root-scriptname\" => \"enable\" )))\n",
        setting_cstr(SETTING_BIND_HOST), server.port,
        STR_ARG(data_path(arena, "run/lighttpd.log")),
        (long long)(setting_int(SETTING_MAX_REQUEST_SIZE) / 1024 + 1024), STR_ARG(socket_path));

    return file_write(arena, path, text, 0600);
}

static void reap(void)
{
    pid_t pid;

    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
        for (size_t i = 0; i < server.count; i++) {
            struct child *child = &server.children[i];

            if (child->pid != pid)
                continue;
            bool short_life = monotonic_us() - child->started_us < 10 * US_PER_S;
            child->pid = 0;
            child->backoff_us = !short_life || !child->backoff_us ? BACKOFF_US
                                : child->backoff_us > 2500 * US_PER_MS
                                    ? 5 * US_PER_S
                                    : 2 * child->backoff_us;
            child->restart_us = monotonic_us() + child->backoff_us;
        }
    }
}

static void nap(void)
{
    const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

    nanosleep(&pause, NULL); /* a signal ends it early */
}

/* Waits for children first to last - 1; who does not end in time is killed. */
static void await(size_t first, size_t last)
{
    int64_t until = monotonic_us() + STOP_US;

    for (size_t i = first; i < last; i++) {
        for (; server.children[i].pid && monotonic_us() < until; reap())
            nap();
        if (server.children[i].pid)
            kill(server.children[i].pid, SIGKILL);
    }
}

/* The web server, which is last, goes first, so that nothing new comes in. */
static void stop_all(void)
{
    size_t web = server.count - 1;

    if (server.children[web].pid)
        kill(server.children[web].pid, server.children[web].stop);
    await(web, server.count);
    for (size_t i = 0; i < web; i++)
        if (server.children[i].pid)
            kill(server.children[i].pid, server.children[i].stop);
    await(0, web);
}

static int supervise(const char *host)
{
    int64_t until = monotonic_us() + READY_US;
    bool announced = false;

    while (!stopping) {
        reap();
        for (size_t i = 0; i < server.count; i++)
            if (!server.children[i].pid && monotonic_us() >= server.children[i].restart_us)
                start(&server.children[i]);
        if (!announced && ready(host)) {
            printf("aragora: ready on http://%s:%d\n", host, server.port);
            fflush(stdout);
            announced = true;
        }
        if (!announced && monotonic_us() > until) {
            fprintf(stderr, "aragora: not ready after 30 s; see run/lighttpd.log in %s\n",
                    setting_cstr(SETTING_DATA_DIR));
            break;
        }
        nap();
    }
    stop_all();
    return announced ? EXIT_DONE : EXIT_FAILED;
}

/* The directory of this program, where its siblings are. */
static const char *sibling(struct arena *arena, const char *name)
{
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self));

    while (len > 0 && self[len - 1] != '/')
        len--;
    return arena_printf(arena, "%.*s%s", (int)(len > 0 ? len : 0), self, name).at;
}

static enum result prepare(struct arena *arena)
{
    struct str path = data_path(arena, "run/lighttpd.conf");
    char *absolute = realpath(setting_cstr(SETTING_DATA_DIR), NULL);
    struct str socket_path = arena_printf(arena, "%s/run/fcgi.sock", absolute ? absolute : "");

    free(absolute);
    TRY(directory_make(arena, data_path(arena, "run"), 0700));
    int fd = worker_socket(socket_path);
    if (fd < 0)
        return ERR_SYSTEM;
    TRY(write_configuration(arena, path, socket_path));
    for (int64_t i = 0; i < setting_int(SETTING_WORKERS); i++)
        (void)add(sibling(arena, "aragora-fcgi"), fd, SIGTERM);
    const char *debated = sibling(arena, "aragora-debated");
    if (access(debated, X_OK) == 0)
        (void)add(debated, -1, SIGTERM);
    struct child *web = add("lighttpd", -1, SIGINT);
    web->argv[1] = "-D";
    web->argv[2] = "-f";
    web->argv[3] = path.at;
    return OK;
}

int command_serve(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    const char *host = setting_cstr(SETTING_BIND_HOST);
    struct sigaction action = { .sa_handler = on_signal };
    struct db *db = NULL;

    if (arguments->count)
        return EXIT_USAGE;
    if (command_database(&db, arena, NULL) != OK)
        return EXIT_FAILED;
    db_close(db); /* before any fork */
    server.port = choose_port(host, (int)setting_int(SETTING_HTTP_PORT));
    if (server.port < 0) {
        fprintf(stderr, "aragora: %s port %lld: %s\n", host,
                (long long)setting_int(SETTING_HTTP_PORT), strerror(errno));
        return EXIT_FAILED;
    }
    /* The children read the same settings; a flag must reach them too. */
    setenv("ARAGORA_DATA_DIR", setting_cstr(SETTING_DATA_DIR), 1);
    setenv("ARAGORA_OFFLINE", setting_flag(SETTING_OFFLINE) ? "true" : "false", 1);
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (prepare(arena) != OK) {
        fprintf(stderr, "aragora: %s: cannot prepare the sockets\n",
                setting_cstr(SETTING_DATA_DIR));
        return EXIT_FAILED;
    }
    return supervise(host);
}
