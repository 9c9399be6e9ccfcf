/* probe.c - a client of HTTP/1.0, maybe over TLS, that reads only the status line. */
#include "cli/probe.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* A TCP socket of host and port: bound if binding, else connected. -1 with errno. */
static int tcp_socket(const char *host, int port, bool binding, int limit_s)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *found;
    const struct timeval limit = { .tv_sec = limit_s };
    char service[16];
    int yes = 1;

    snprintf(service, sizeof(service), "%d", port);
    if (getaddrinfo(host, service, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (binding)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* of connect() too */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (fd >= 0 && (binding ? bind(fd, found->ai_addr, found->ai_addrlen)
                            : connect(fd, found->ai_addr, found->ai_addrlen)) != 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

int probe_port(const char *host, int port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } address = { 0 };
    socklen_t len = sizeof(address);
    int fd = tcp_socket(host, port, true, 0);

    if (fd < 0)
        return -1;
    if (port == 0 && getsockname(fd, &address.any, &len) == 0)
        port = ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port
                                                       : address.four.sin_port);
    close(fd);
    return port;
}

/* One of both: over the socket, or over TLS on it. */
struct line {
    int fd;
    SSL *tls;
};

static bool line_open(struct line *out, const char *host, int port, bool tls, int limit_s)
{
    SSL_CTX *context = tls ? SSL_CTX_new(TLS_client_method()) : NULL;

    *out = (struct line){ .fd = tcp_socket(host, port, false, limit_s) };
    if (context) {
        out->tls = SSL_new(context);
        SSL_CTX_free(context); /* the connection holds it */
    }
    if (out->fd < 0 || !tls)
        return out->fd >= 0;
    return out->tls && SSL_set_fd(out->tls, out->fd) == 1 && SSL_connect(out->tls) == 1;
}

static void line_close(struct line *line)
{
    SSL_free(line->tls);
    if (line->fd >= 0)
        close(line->fd);
}

static bool line_send(struct line *line, const char *text, int len)
{
    return (line->tls ? SSL_write(line->tls, text, len)
                      : (int)send(line->fd, text, (size_t)len, MSG_NOSIGNAL)) == len;
}

static int line_receive(struct line *line, char *out, size_t size)
{
    return line->tls ? SSL_read(line->tls, out, (int)size) : (int)recv(line->fd, out, size, 0);
}

int probe_get(const char *host, int port, bool tls, const char *path, int limit_s)
{
    CLEANUP(line_close) struct line line;
    char text[512] = "";
    size_t len = 0;
    int64_t status;

    if (!line_open(&line, host, port, tls, limit_s))
        return 0;
    int size = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\n\r\n", path);
    int got = line_send(&line, text, size) ? 1 : 0;
    while (got > 0 && len < sizeof("HTTP/1.0 200") - 1) {
        got = line_receive(&line, text + len, sizeof(text) - len);
        len += got > 0 ? (size_t)got : 0;
    }
    struct str answer = { text, len };
    return str_starts(answer, STR("HTTP/1.")) &&
                   str_int(&status, str_slice(answer, 9, 12), 100, 599)
               ? (int)status
               : 0;
}
