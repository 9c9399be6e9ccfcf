/* bus.c - see bus.h.
 *
 * A second bind to an ipc path silently takes it away from the first (libzmq issue 2059), so a
 * receiver holds a lock on a file beside its socket. */
#include "common/bus/bus.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
#include <zmq.h>

#define QUEUE_MAX  100000 /* messages; beyond, they are dropped */
#define PATH_BYTES 108    /* sun_path */
#define PARTS      3 /* the port's name, which the receiver subscribed to, the head, the body */

static const char *const names[BUS_PORTS] = { "events", "jobs" };

struct bus {
    void *context;
    void *socket;
    pthread_mutex_t lock; /* of publishing threads */
    int lock_fd;
    zmq_msg_t parts[PARTS]; /* of the message that the caller looks at */
    size_t kept;
};

static enum result new_bus(struct bus **out, int type)
{
    struct bus *bus = calloc(1, sizeof(*bus));
    const int queue = QUEUE_MAX, linger = 0;

    if (!bus)
        abort();
    bus->lock_fd = -1;
    pthread_mutex_init(&bus->lock, NULL);
    bus->context = zmq_ctx_new();
    bus->socket = bus->context ? zmq_socket(bus->context, type) : NULL;
    if (!bus->socket || zmq_setsockopt(bus->socket, ZMQ_LINGER, &linger, sizeof(linger)) != 0 ||
        zmq_setsockopt(bus->socket, type == ZMQ_PUB ? ZMQ_SNDHWM : ZMQ_RCVHWM, &queue,
                       sizeof(queue)) != 0) {
        bus_close(bus);
        return ERR_SYSTEM;
    }
    *out = bus;
    return OK;
}

/* "ipc://" and a path that fits. */
static bool endpoint(char *out, size_t size, const char *data_directory, enum bus_port port)
{
    int len = snprintf(out, size, "ipc://%s/run/%s", data_directory, names[port]);

    return len > 0 && (size_t)len < size && (size_t)len < PATH_BYTES + sizeof("ipc://") - 1;
}

static bool lock_port(struct bus *bus, const char *data_directory, enum bus_port port)
{
    char path[4096];

    if (snprintf(path, sizeof(path), "%s/run/%s.lock", data_directory, names[port]) >=
        (int)sizeof(path))
        return false;
    bus->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return bus->lock_fd >= 0 && flock(bus->lock_fd, LOCK_EX | LOCK_NB) == 0;
}

enum result bus_connect(struct bus **out, const char *data_directory)
{
    char address[4096];
    struct bus *bus;

    TRY(new_bus(&bus, ZMQ_PUB));
    for (int port = 0; port < BUS_PORTS; port++) {
        if (!endpoint(address, sizeof(address), data_directory, (enum bus_port)port) ||
            zmq_connect(bus->socket, address) != 0) {
            bus_close(bus);
            return ERR_SYSTEM;
        }
    }
    *out = bus;
    return OK;
}

enum result bus_bind(struct bus **out, const char *data_directory, enum bus_port port)
{
    char address[4096];
    enum result result = ERR_SYSTEM;
    struct bus *bus;

    TRY(new_bus(&bus, ZMQ_SUB));
    if (!endpoint(address, sizeof(address), data_directory, port))
        result = ERR_SYSTEM;
    else if (!lock_port(bus, data_directory, port))
        result = bus->lock_fd >= 0 && errno == EWOULDBLOCK ? ERR_ALREADY_EXISTS : ERR_SYSTEM;
    else if (zmq_setsockopt(bus->socket, ZMQ_SUBSCRIBE, names[port], strlen(names[port])) == 0 &&
             zmq_bind(bus->socket, address) == 0)
        result = OK;
    if (result == OK)
        *out = bus;
    else
        bus_close(bus);
    return result;
}

static void forget_message(struct bus *bus)
{
    while (bus->kept)
        zmq_msg_close(&bus->parts[--bus->kept]);
}

void bus_close(struct bus *bus)
{
    if (!bus)
        return;
    forget_message(bus);
    if (bus->socket)
        zmq_close(bus->socket);
    if (bus->context)
        zmq_ctx_term(bus->context);
    if (bus->lock_fd >= 0)
        close(bus->lock_fd);
    pthread_mutex_destroy(&bus->lock);
    free(bus);
}

void bus_publish(struct bus *bus, enum bus_port port, struct str head, struct str body)
{
    const char *name = names[port];

    pthread_mutex_lock(&bus->lock);
    if (zmq_send_const(bus->socket, name, strlen(name), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
        zmq_send(bus->socket, head.at, head.len, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        (void)zmq_send(bus->socket, body.at, body.len, ZMQ_DONTWAIT);
    pthread_mutex_unlock(&bus->lock);
}

int bus_descriptor(const struct bus *bus)
{
    int fd = -1;
    size_t size = sizeof(fd);

    (void)zmq_getsockopt(bus->socket, ZMQ_FD, &fd, &size);
    return fd;
}

/* Takes all parts of a message, which arrives whole (zmq_msg_recv(3)), and keeps the first ones.
 * How many it had; 0: there was none. */
static size_t take_parts(struct bus *bus)
{
    size_t count = 0;
    bool more = true;

    forget_message(bus);
    while (more) {
        zmq_msg_t part;

        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, bus->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&part);
            break;
        }
        more = zmq_msg_more(&part);
        if (bus->kept < PARTS) {
            zmq_msg_init(&bus->parts[bus->kept]);
            (void)zmq_msg_move(&bus->parts[bus->kept++], &part);
        }
        zmq_msg_close(&part);
        count++;
    }
    return count;
}

static struct str part_view(zmq_msg_t *part)
{
    return (struct str){ zmq_msg_data(part), zmq_msg_size(part) };
}

bool bus_receive(struct bus *bus, struct str *head, struct str *body)
{
    size_t count;

    do {
        count = take_parts(bus);
        if (!count)
            return false;
    } while (count != PARTS); /* not ours */
    *head = part_view(&bus->parts[1]);
    *body = part_view(&bus->parts[2]);
    return true;
}
