/* lighttpd.h - the web server in front of the workers: its configuration. */
#ifndef ARAGORA_LIGHTTPD_H
#define ARAGORA_LIGHTTPD_H

#include "common/base/arena.h"

struct lighttpd {
    const char *host;
    int port;
    int stream_port;   /* of the stream daemon, for /ws; 0: none */
    struct str socket; /* of the workers; an absolute path */
    struct str error_log;
    int64_t body_bytes; /* the greatest that any route takes */
};

/* Writes the file. ERR_VALIDATION: a path or the host cannot stand in it; ERR_SYSTEM. */
MUST_USE enum result lighttpd_configure(struct arena *arena, struct str path,
                                        const struct lighttpd *lighttpd);

#endif
