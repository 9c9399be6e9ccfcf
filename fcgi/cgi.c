/* cgi.c - the request is in the environment, its body on standard input.
 *
 * For web servers without FastCGI. Nothing is kept for a next request, so each pays for the
 * start: some milliseconds, most of it for the database. SIGTERM stays blocked: there is no
 * place between two requests. */
#include "fcgi/cgi.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

bool cgi_called(void)
{
    return getenv("GATEWAY_INTERFACE") && getenv("REQUEST_METHOD");
}

/* source: what is left of CONTENT_LENGTH. The server need not end the input there (RFC 3875 4.2),
 * so reading on could wait for ever. */
static bool read_body(void *source, char *out, size_t size, size_t *got, bool *cut)
{
    int64_t *left = source;
    ssize_t len;

    if (*left < (int64_t)size)
        size = (size_t)*left;
    do
        len = read(STDIN_FILENO, out, size);
    while (len < 0 && errno == EINTR);
    *cut = len < 0;
    *got = len > 0 ? (size_t)len : 0;
    *left -= (int64_t)*got;
    return *got > 0;
}

static bool write_all(struct str text)
{
    while (text.len) {
        ssize_t len = write(STDOUT_FILENO, text.at, text.len);

        if (len < 0 && errno != EINTR)
            return false;
        if (len > 0)
            text = str_slice(text, (size_t)len, text.len);
    }
    return true;
}

void cgi_answer(struct worker *worker)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct exchange *exchange = exchange_new(arena, params_read(arena, environ));
    struct buf *head = arena_buf(arena);
    int64_t left;

    if (!str_int(&left, header(&exchange->request, "content-length"), 0, INT64_MAX))
        left = 0; /* absent, or refused before anything is read */
    signal(SIGPIPE, SIG_IGN);
    exchange->worker = worker;
    exchange->single = true;
    exchange->read = read_body;
    exchange->source = &left;
    pipeline_run(exchange);
    response_head(head, &exchange->response);
    if (write_all(buf_view(head)) && !exchange->request.head)
        (void)write_all(exchange->response.body);
    (void)close(STDOUT_FILENO); /* it is whole; nobody waits for the end of the process */
}
