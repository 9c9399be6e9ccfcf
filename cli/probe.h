/* probe.h - is a port free, and does a server answer there? Blocking, with limits. */
#ifndef ARAGORA_PROBE_H
#define ARAGORA_PROBE_H

#include "common/base/base.h"

/* The port if it can be bound now; 0 picks a free one. -1 with errno. */
int probe_port(const char *host, int port);
/* The HTTP status of GET path; 0: no answer within limit_s. tls: whose certificate it is does not
 * matter to who asks only whether a server of this machine is up. */
int probe_get(const char *host, int port, bool tls, const char *path, int limit_s);

#endif
