/* transport.c - plain sockets as they are, and OpenSSL without waiting.
 *
 * What OpenSSL could not send must be given to it again unchanged, while the queue of a client
 * may be cut meanwhile. So a turn's frames are copied into one record, which counts as written;
 * if the socket has no room, the record is kept until it has. A client that keeps up costs no
 * memory for this, and its many small frames one record instead of many. */
#include "streamd/transport.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_BYTES SSL3_RT_MAX_PLAIN_LENGTH

void transport_open(struct transport *out, int fd, SSL_CTX *context)
{
    *out = (struct transport){ .fd = fd };
    if (!context)
        return;
    out->tls = SSL_new(context);
    if (!out->tls || SSL_set_fd(out->tls, fd) != 1)
        abort();
    SSL_set_accept_state(out->tls);
}

void transport_close(struct transport *transport)
{
    SSL_free(transport->tls);
    free(transport->unsent);
    close(transport->fd);
}

/* Who speaks HTTP in the clear is told so, as far as that goes, rather than left to guess. */
static void tell_plain_client(int fd)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                                 "Content-Length: 32\r\nConnection: close\r\n\r\n"
                                 "This port speaks TLS: use wss://";

    (void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* -1 with errno for what an operation of OpenSSL returned; 0 where the peer has ended. */
static ssize_t outcome(struct transport *transport, int returned, bool reading)
{
    unsigned long reason;

    switch (SSL_get_error(transport->tls, returned)) {
    case SSL_ERROR_WANT_WRITE:
        transport->read_wants_room = reading;
        /* fall through */
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        break;
    }
    transport->failed = true;
    reason = ERR_peek_error();
    if (ERR_GET_LIB(reason) == ERR_LIB_SSL && ERR_GET_REASON(reason) == SSL_R_HTTP_REQUEST)
        tell_plain_client(transport->fd);
    errno = EPROTO;
    return -1;
}

ssize_t transport_read(struct transport *transport, void *out, size_t size)
{
    if (!transport->tls)
        return recv(transport->fd, out, size, 0);
    ERR_clear_error();
    transport->read_wants_room = false;
    int got = SSL_read(transport->tls, out, size > INT_MAX ? INT_MAX : (int)size);
    return got > 0 ? got : outcome(transport, got, true);
}

/* One record of the front of parts; returns its length. */
static size_t gather(char record[RECORD_BYTES], const struct iovec *parts, int count)
{
    size_t len = 0;

    for (int i = 0; i < count && len < RECORD_BYTES; i++) {
        size_t part = parts[i].iov_len < RECORD_BYTES - len ? parts[i].iov_len : RECORD_BYTES - len;

        memcpy(record + len, parts[i].iov_base, part);
        len += part;
    }
    return len;
}

static ssize_t send_record(struct transport *transport, const char *record, size_t len)
{
    ERR_clear_error();
    int sent = SSL_write(transport->tls, record, (int)len);

    if (sent > 0)
        return sent;
    if (outcome(transport, sent, false) == 0)
        errno = EPIPE;
    return -1;
}

static ssize_t send_owed(struct transport *transport)
{
    ssize_t sent = send_record(transport, transport->unsent, transport->unsent_bytes);

    if (sent > 0) {
        free(transport->unsent);
        transport->unsent = NULL;
    }
    return sent;
}

static ssize_t write_tls(struct transport *transport, const struct iovec *parts, int count)
{
    static char record[RECORD_BYTES];

    if (transport->unsent && send_owed(transport) <= 0)
        return -1;
    size_t len = gather(record, parts, count);
    if (!len)
        return 0;
    ssize_t sent = send_record(transport, record, len);
    if (sent > 0 || errno != EAGAIN)
        return sent;
    transport->unsent = malloc(len);
    if (!transport->unsent)
        abort();
    memcpy(transport->unsent, record, len);
    transport->unsent_bytes = len;
    return (ssize_t)len;
}

ssize_t transport_writev(struct transport *transport, const struct iovec *parts, int count)
{
    return transport->tls ? write_tls(transport, parts, count)
                          : writev(transport->fd, parts, count);
}

bool transport_owes(const struct transport *transport)
{
    return transport->unsent != NULL;
}

void transport_shutdown(struct transport *transport)
{
    if (transport->tls && !transport->failed && SSL_is_init_finished(transport->tls)) {
        ERR_clear_error();
        (void)SSL_shutdown(transport->tls); /* says so; that the peer does too is not waited for */
    }
    shutdown(transport->fd, SHUT_WR);
}
