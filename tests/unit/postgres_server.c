#include "tests/unit/postgres_server.h"

#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM(name) ("/usr/lib/postgresql/15/bin/" name)

static char directory[64], data[96], dsn[160];
static pid_t server, owner; /* owner: who started it; a fork of it must not stop it */

/* In the child: another account if this one is root, no output, ends with the test. */
static void become_server_user(void)
{
    const struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;
    int null = open("/dev/null", O_RDWR);

    if (null >= 0) {
        dup2(null, 0);
        dup2(null, 1);
    }
    if (nobody &&
        (setgroups(0, NULL) != 0 || setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT); /* after setuid(), which clears it */
    if (chdir("/") != 0)
        _exit(126);
}

static pid_t spawn(char *const argv[])
{
    pid_t child = fork();

    if (child == 0) {
        become_server_user();
        execv(argv[0], argv);
        _exit(127);
    }
    return child;
}

static int run(char *const argv[])
{
    int status = -1;
    pid_t child = spawn(argv);

    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return status;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

/* Until the server takes connections, 30 s at most. */
static int wait_ready(void)
{
    char *const ready[] = { PROGRAM("pg_isready"), "-q", "-h", directory, "-U", "aragora", NULL };
    const struct timespec pause = { .tv_nsec = 50000000 };

    for (int i = 0; i < 600; i++) {
        if (run(ready) == 0)
            return 1;
        if (waitpid(server, NULL, WNOHANG) == server) {
            server = 0;
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}

const char *postgres_server_start(void)
{
    const struct passwd *nobody = geteuid() == 0 ? getpwnam("nobody") : NULL;

    if (!owner)
        atexit(postgres_server_stop);
    owner = getpid();
    snprintf(directory, sizeof(directory), "/tmp/aragora-pg-XXXXXX");
    if (!mkdtemp(directory) || (nobody && chown(directory, nobody->pw_uid, nobody->pw_gid) != 0)) {
        perror("postgres_server: directory");
        return NULL;
    }
    snprintf(data, sizeof(data), "%s/data", directory);
    char *const initdb[] = { PROGRAM("initdb"), "-D", data,   "-U",        "aragora",     "-A",
                             "trust",           "-E", "UTF8", "--no-sync", "--no-locale", NULL };
    char *const postgres[] = {
        PROGRAM("postgres"),      "-D", data, "-k", directory, "-h", "", "-F", "-c",
        "log_min_messages=panic", NULL
    };
    if (run(initdb) != 0) {
        fputs("postgres_server: initdb failed\n", stderr);
        postgres_server_stop();
        return NULL;
    }
    server = spawn(postgres);
    if (server < 0 || !wait_ready()) {
        fputs("postgres_server: postgres did not start\n", stderr);
        postgres_server_stop();
        return NULL;
    }
    snprintf(dsn, sizeof(dsn), "host=%s user=aragora dbname=postgres", directory);
    return dsn;
}

void postgres_server_stop(void)
{
    if (owner != getpid())
        return;
    if (server > 0) {
        kill(server, SIGQUIT); /* immediate shutdown */
        waitpid(server, NULL, 0);
        server = 0;
    }
    if (directory[0])
        nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    directory[0] = '\0';
}
