/* bus.h - news between the programs of a site, over ZeroMQ PUB/SUB.
 *
 * News are hints: the database is the truth. A message may be lost (the receiver is down, or
 * slow), and whoever receives finds out by the sequence numbers or by looking once a second.
 * Publishers connect, receivers bind: ipc sockets in DATA/run.
 *
 * A message is a head, fields parted by line breaks, and a body of any bytes. */
#ifndef ARAGORA_BUS_H
#define ARAGORA_BUS_H

#include "common/base/arena.h"

/* Who receives: one socket each. */
enum bus_port {
    BUS_STREAM, /* aragora-streamd: events and token deltas */
    BUS_JOBS,   /* aragora-debated: there is work */
    BUS_PORTS
};

struct bus;

/* Connects to both ports; all threads may publish. *out is the caller's. ERR_SYSTEM: the data
 * directory's path is too long for a socket, or ZeroMQ has no memory. */
MUST_USE enum result bus_connect(struct bus **out, const char *data_directory);
/* Receives what is published to a port; for one thread. ERR_ALREADY_EXISTS: a living process
 * receives there. ERR_SYSTEM. */
MUST_USE enum result bus_bind(struct bus **out, const char *data_directory, enum bus_port port);
void bus_close(struct bus *bus); /* NULL is fine */

/* Never waits; what cannot be sent is dropped. */
void bus_publish(struct bus *bus, enum bus_port port, struct str head, struct str body);

/* Readable once there may be news: then bus_receive() until it says false, and once more after
 * whatever else was done meanwhile, as the descriptor is edge-triggered. */
int bus_descriptor(const struct bus *bus);
/* head and body are borrowed until the next call. */
bool bus_receive(struct bus *bus, struct str *head, struct str *body);

#endif
