/* fastcgi.c - requests from libfcgi, without its signal handling.
 *
 * libfcgi installs handlers without SA_RESTART and never retries EINTR, so a signal in a read
 * or write cuts the request. Here TERM and USR1 stay blocked except in ppoll(), where nothing
 * is under way; the socket is non-blocking because another worker may take the connection
 * between ppoll() and accept(). */
#include "fcgi/fastcgi.h"

#include "common/base/settings.h"

#include <errno.h>
#include <fcgi_config.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t stopping;

static void stop(int signal UNUSED)
{
    stopping = 1;
}

/* After FCGX_Init(), which sets its own handlers. *open: the mask for waiting. */
static void take_signals(sigset_t *open)
{
    struct sigaction action = { .sa_handler = stop };
    sigset_t blocked;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, open);
    sigdelset(open, SIGTERM); /* whoever started us may have blocked them */
    sigdelset(open, SIGUSR1);
}

static bool read_body(void *source, char *out, size_t size, size_t *got, bool *cut)
{
    FCGX_Stream *in = source;
    int read = FCGX_GetStr(out, (int)size, in);

    *got = read > 0 ? (size_t)read : 0;
    *cut = FCGX_GetError(in) != 0; /* an aborted body ends early with only this sign */
    return *got > 0 && !*cut;
}

/* Failing to write means that the client left; the work is done all the same. */
static void send_answer(FCGX_Stream *out, const struct exchange *exchange)
{
    CLEANUP(buf_free) struct buf head = { 0 };
    const struct response *response = &exchange->response;

    response_head(&head, response);
    FCGX_PutStr(head.at, (int)head.len, out);
    if (!exchange->request.head && response->body.len)
        FCGX_PutStr(response->body.at, (int)response->body.len, out);
}

/* Is all input read, or none to come but the record that ends it, which web servers send with a
 * request that has no body? */
static bool input_over(const FCGX_Request *fcgi, const struct request *r)
{
    struct str length = header(r, "content-length");

    if (FCGX_HasSeenEOF(fcgi->in) == 0 &&
        (request_takes_body(r) || (length.len && !str_is(length, "0")) ||
         header(r, "transfer-encoding").len))
        return false;
    return FCGX_GetChar(fcgi->in) == EOF && FCGX_GetError(fcgi->in) == 0;
}

/* libfcgi keeps a connection open until the web server has closed it, as closing with input unread
 * can destroy what was sent. With the input at its end it need not: three system calls fewer, and
 * no wait for the web server's turn. */
static void end_request(FCGX_Request *fcgi, const struct request *r)
{
    if (!fcgi->keepConnection && input_over(fcgi, r))
        FCGX_Detach(fcgi);
    FCGX_Finish_r(fcgi);
}

static void answer(FCGX_Request *fcgi, struct arena *arena, struct worker *worker)
{
    /* Its environment lives until FCGX_Finish_r(), which is after all that reads it. */
    struct exchange *exchange = exchange_new(arena, params_read(arena, fcgi->envp));

    exchange->worker = worker;
    exchange->read = read_body;
    exchange->source = fcgi->in;
    pipeline_run(exchange);
    send_answer(fcgi->out, exchange);
    end_request(fcgi, &exchange->request);
    arena_reset(arena);
}

/* While requests never cease, nothing waits in ppoll() where signals are let in. */
static bool told_to_stop(void)
{
    sigset_t pending;

    sigpending(&pending);
    return stopping || sigismember(&pending, SIGTERM) || sigismember(&pending, SIGUSR1);
}

/* Until a connection or a kept one's next request is there; false: told to stop. */
static bool wait_request(const FCGX_Request *fcgi, const sigset_t *open)
{
    while (!stopping) {
        struct pollfd fd = { .fd = fcgi->ipcFd >= 0 ? fcgi->ipcFd : 0, .events = POLLIN };

        if (ppoll(&fd, 1, NULL, open) > 0)
            return true;
    }
    return false;
}

/* The next request, tried before it is waited for: under load one is there. false: told to stop, or
 * the socket is none (*result). */
static bool next_request(FCGX_Request *fcgi, const sigset_t *open, enum result *result)
{
    while (fcgi->ipcFd < 0 || wait_request(fcgi, open)) {
        int code = FCGX_Accept_r(fcgi);

        if (code == 0)
            return true;
        if (code != -EAGAIN && code != -EINTR && code != -ECONNABORTED) {
            *result = ERR_SYSTEM;
            return false;
        }
        if (!wait_request(fcgi, open))
            return false;
    }
    return false;
}

/* Requests between two looks at the memory, and at signals. */
#define MEMORY_REQUESTS 64
#define SIGNAL_REQUESTS 16

/* Pages of this process alone; 0 if the system does not tell. */
static int64_t own_pages(void)
{
    char text[128];
    struct str rest, size, resident, shared;
    int64_t pages, others;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text));

    if (fd >= 0)
        close(fd);
    rest = (struct str){ text, len > 0 ? (size_t)len : 0 };
    if (!str_split(&size, &rest, ' ') || !str_split(&resident, &rest, ' ') ||
        !str_split(&shared, &rest, ' ') || !str_int(&pages, resident, 0, INT64_MAX) ||
        !str_int(&others, shared, 0, pages))
        return 0;
    return pages - others;
}

/* Has the worker done its part? */
static bool is_worn(int64_t answered)
{
    int64_t requests = setting_int(SETTING_MAX_REQUESTS);
    int64_t bytes = setting_int(SETTING_MAX_MEMORY);

    if (requests && answered >= requests)
        return true;
    return bytes && answered % MEMORY_REQUESTS == 0 && own_pages() * sysconf(_SC_PAGESIZE) > bytes;
}

static enum result serve(struct worker *worker, const sigset_t *open)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    enum result result = OK;
    int64_t answered = 0;
    FCGX_Request fcgi;

    if (FCGX_InitRequest(&fcgi, 0, FCGI_FAIL_ACCEPT_ON_INTR) != 0)
        return ERR_SYSTEM;
    while (next_request(&fcgi, open, &result)) {
        answer(&fcgi, arena, worker);
        worker_database(worker);
        if (is_worn(++answered) || (answered % SIGNAL_REQUESTS == 0 && told_to_stop()))
            break;
    }
    FCGX_Free(&fcgi, 1);
    return result;
}

bool fastcgi_called(void)
{
    return !FCGX_IsCGI();
}

enum result fastcgi_serve(struct worker *worker)
{
    sigset_t open;
    int flags = fcntl(0, F_GETFL);

    if (!fastcgi_called() || FCGX_Init() != 0)
        return ERR_SYSTEM;
    take_signals(&open);
    if (flags < 0 || fcntl(0, F_SETFL, flags | O_NONBLOCK) != 0)
        return ERR_SYSTEM;
    worker_database(worker);
    return serve(worker, &open);
}
