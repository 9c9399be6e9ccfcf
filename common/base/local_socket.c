#include "common/base/local_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int local_listener(struct str path, int backlog)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (path.len >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    memcpy(address.sun_path, path.at, path.len);
    (void)unlink(address.sun_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        chmod(address.sun_path, 0600) == 0 && listen(fd, backlog) == 0)
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}
