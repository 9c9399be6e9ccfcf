#include "cli/become.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum result complain(const char *what, enum result result)
{
    fprintf(stderr, "aragora: %s: %s\n", what,
            result == ERR_NOT_FOUND ? "no such user" : strerror(errno));
    return result;
}

enum result become_user(const char *name, const char *directory)
{
    const struct passwd *user = getpwnam(name);

    if (!user)
        return complain(name, ERR_NOT_FOUND);
    if (user->pw_uid == getuid() && user->pw_uid == geteuid())
        return OK;
    if (mkdir(directory, 0700) == 0) {
        if (chown(directory, user->pw_uid, user->pw_gid) != 0)
            return complain(directory, ERR_SYSTEM);
    } else if (errno != EEXIST) {
        return complain(directory, ERR_SYSTEM);
    }
    if (initgroups(name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
        setuid(user->pw_uid) != 0)
        return complain(name, ERR_SYSTEM);
    setenv("HOME", user->pw_dir, 1);
    setenv("USER", name, 1);
    return OK;
}
