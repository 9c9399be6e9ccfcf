/* web_server.h - the web server that aragora serve puts in front: its configuration. */
#ifndef ARAGORA_WEB_SERVER_H
#define ARAGORA_WEB_SERVER_H

#include "common/base/arena.h"

struct web_server {
    const char *host;
    int port;
    int stream_port;               /* of the stream daemon, for /ws; 0: none */
    const char *certificate, *key; /* PEM files, absolute; NULL: no TLS */
    struct str stream_socket;      /* of the stream daemon, where its port speaks TLS */
    struct str data;               /* directory; absolute */
    struct str socket;             /* of the workers, where serve starts them itself */
    struct str worker;             /* program, where the web server starts it */
    int64_t workers;
    int64_t body_bytes; /* the greatest that any route takes */
};

/* Each writes the file. ERR_VALIDATION: a path or the host cannot stand in it; ERR_SYSTEM. */
MUST_USE enum result lighttpd_configure(struct arena *arena, struct str path,
                                        const struct web_server *server);
MUST_USE enum result apache_configure(struct arena *arena, struct str path,
                                      const struct web_server *server);

/* Where programs of this machine reach a server that binds host. */
const char *reachable_host(const char *host);

#endif
