/* local_socket.h - a listening socket in the file system, for programs of the same user. */
#ifndef ARAGORA_LOCAL_SOCKET_H
#define ARAGORA_LOCAL_SOCKET_H

#include "common/base/base.h"

/* Takes the place of what stands at path. Non-blocking, closed on exec. -1 with errno. */
int local_listener(struct str path, int backlog);

#endif
