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

static const char *const names[BUS_PORTS] = { "events", "jobs" };

struct bus {
    void *context;
    void *socket;
    pthread_mutex_t lock; /* of publishing threads */
    int lock_fd;
    bool has_message;
    zmq_msg_t head, body; /* the message that the caller looks at */
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

void bus_close(struct bus *bus)
{
    if (!bus)
        return;
    if (bus->has_message) {
        zmq_msg_close(&bus->head);
        zmq_msg_close(&bus->body);
    }
    if (bus->socket)
        zmq_close(bus->socket);
    if (bus->context)
        zmq_ctx_term(bus->context);
    if (bus->lock_fd >= 0)
        close(bus->lock_fd);
    pthread_mutex_destroy(&bus->lock);
    free(bus);
}

/* Three parts: the port's name, which the receiver subscribed to, the head, the body. */
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

static struct str part_view(zmq_msg_t *part)
{
    return (struct str){ zmq_msg_data(part), zmq_msg_size(part) };
}

bool bus_receive(struct bus *bus, struct str *head, struct str *body)
{
    zmq_msg_t name;

    if (bus->has_message) {
        zmq_msg_close(&bus->head);
        zmq_msg_close(&bus->body);
        bus->has_message = false;
    }
    zmq_msg_init(&name);
    bool received = zmq_msg_recv(&name, bus->socket, ZMQ_DONTWAIT) >= 0;
    zmq_msg_close(&name);
    if (!received)
        return false;
    zmq_msg_init(&bus->head);
    zmq_msg_init(&bus->body);
    bus->has_message = true;
    /* A message arrives whole (zmq_msg_recv(3)), so these do not wait. */
    if (zmq_msg_recv(&bus->head, bus->socket, 0) < 0 ||
        zmq_msg_recv(&bus->body, bus->socket, 0) < 0)
        return false;
    *head = part_view(&bus->head);
    *body = part_view(&bus->body);
    return true;
}
