/* fastcgi.h - the FastCGI side of a worker, over libfcgi.
 *
 * The listening socket is file descriptor 0, shared by all workers. SIGTERM and SIGUSR1 end the
 * worker between two requests, never in one. */
#ifndef ARAGORA_FASTCGI_H
#define ARAGORA_FASTCGI_H

#include "fcgi/pipeline.h"

/* Is file descriptor 0 a listening socket? */
bool fastcgi_called(void);
/* Serves until a signal, ARAGORA_WORKER_MAX_REQUESTS or ARAGORA_WORKER_MAX_MEMORY. ERR_SYSTEM: file
 * descriptor 0 is no listening socket. */
MUST_USE enum result fastcgi_serve(struct worker *worker);

#endif
