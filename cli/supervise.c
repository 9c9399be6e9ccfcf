/* supervise.c - see supervise.h. */
#include "cli/supervise.h"

#include "common/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const struct supervisor_times supervisor_times = {
    .pause_min_us = 100 * US_PER_MS,
    .pause_max_us = 5 * US_PER_S,
    .long_life_us = 10 * US_PER_S,
    .grace_us = 15 * US_PER_S,
    .probe_us = 50 * US_PER_MS,
    .ready_us = 30 * US_PER_S,
};

struct child {
    const char *const *argv;
    int input, stop, stage;
    pid_t pid; /* 0: not running */
    int64_t started_us, restart_us, pause_us;
};

struct supervisor {
    const struct supervisor_times *times;
    struct child *children;
    size_t count, room;
    void (*begin_drain)(void *context); /* NULL: none */
    int64_t drain_us;
    sigset_t signals, before; /* before: the mask that the children get */
};

struct supervisor *supervisor_new(struct arena *arena, const struct supervisor_times *times,
                                  size_t room)
{
    struct supervisor *supervisor = arena_alloc(arena, sizeof(*supervisor));

    supervisor->times = times;
    supervisor->children = arena_array(arena, room, sizeof(struct child));
    supervisor->room = room;
    sigemptyset(&supervisor->signals);
    sigaddset(&supervisor->signals, SIGCHLD);
    sigaddset(&supervisor->signals, SIGINT);
    sigaddset(&supervisor->signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &supervisor->signals, &supervisor->before);
    return supervisor;
}

void supervisor_add(struct supervisor *supervisor, const char *const *argv, int input, int stop,
                    int stage)
{
    if (supervisor->count == supervisor->room)
        abort();
    supervisor->children[supervisor->count++] =
        (struct child){ .argv = argv, .input = input, .stop = stop, .stage = stage };
}

/* In the child. Its own process group: the terminal's Ctrl-C goes to the supervisor alone, which
 * then ends the children in order. */
static NORETURN void become(const struct supervisor *supervisor, const struct child *child,
                            pid_t parent)
{
    int input = child->input >= 0 ? child->input : open("/dev/null", O_RDONLY | O_CLOEXEC);

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* died before the line above */
        _exit(1);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL); /* a shell's background job has it ignored */
    sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
    dup2(input, STDIN_FILENO);                          /* without close-on-exec */
    execvp(child->argv[0], (char *const *)child->argv); /* it does not write there */
    fprintf(stderr, "aragora: %s: %s\n", child->argv[0], strerror(errno));
    _exit(127);
}

/* done: it ended of its own will and in order. */
static void died(const struct supervisor *supervisor, struct child *child, bool done)
{
    const struct supervisor_times *times = supervisor->times;
    int64_t now_us = monotonic_us();
    int64_t lived_us = now_us - child->started_us;
    bool first = done || lived_us >= times->long_life_us || !child->pause_us;

    child->pid = 0;
    child->pause_us = first ? times->pause_min_us : 2 * child->pause_us;
    if (child->pause_us > times->pause_max_us)
        child->pause_us = times->pause_max_us;
    child->restart_us = now_us + (done && lived_us >= times->pause_min_us ? 0 : child->pause_us);
}

static void start(const struct supervisor *supervisor, struct child *child)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0)
        become(supervisor, child, parent);
    child->started_us = monotonic_us();
    child->pid = pid;
    if (pid < 0)
        died(supervisor, child, false); /* out of processes: tried again after the pause */
}

static void reap(struct supervisor *supervisor)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < supervisor->count; i++)
            if (supervisor->children[i].pid == pid)
                died(supervisor, &supervisor->children[i],
                     WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Starts who is due. Returns when the next one is, at most a second from now. */
static int64_t start_due(struct supervisor *supervisor)
{
    int64_t now = monotonic_us(), next = now + US_PER_S;

    for (size_t i = 0; i < supervisor->count; i++) {
        struct child *child = &supervisor->children[i];

        if (!child->pid && child->restart_us <= now)
            start(supervisor, child);
        if (!child->pid && child->restart_us < next)
            next = child->restart_us;
    }
    return next;
}

/* Sleeps until a monotonic time or a signal; returns the signal, or 0. */
static int wait_signal(const struct supervisor *supervisor, int64_t until_us)
{
    int64_t left = until_us - monotonic_us();
    struct timespec limit = { 0 };

    if (left > 0) {
        limit.tv_sec = left / US_PER_S;
        limit.tv_nsec = left % US_PER_S * 1000;
    }
    int number = sigtimedwait(&supervisor->signals, NULL, &limit);
    return number > 0 ? number : 0;
}

static size_t signal_stage(const struct supervisor *supervisor, int stage, bool kill_now)
{
    size_t alive = 0;

    for (size_t i = 0; i < supervisor->count; i++) {
        const struct child *child = &supervisor->children[i];

        if (child->pid <= 0 || child->stage != stage)
            continue;
        kill(child->pid, kill_now ? SIGKILL : child->stop);
        alive++;
    }
    return alive;
}

static size_t count_stage(const struct supervisor *supervisor, int stage)
{
    size_t alive = 0;

    for (size_t i = 0; i < supervisor->count; i++)
        alive += supervisor->children[i].pid > 0 && supervisor->children[i].stage == stage;
    return alive;
}

static void stop_stage(struct supervisor *supervisor, int stage)
{
    int64_t until = monotonic_us() + supervisor->times->grace_us;

    (void)signal_stage(supervisor, stage, false);
    for (reap(supervisor); count_stage(supervisor, stage); reap(supervisor)) {
        if (monotonic_us() >= until && signal_stage(supervisor, stage, true))
            until = monotonic_us() + US_PER_S;
        (void)wait_signal(supervisor, until);
    }
}

/* Last stage first; what is dead stays dead, since nothing is started any more. */
static void stop_all(struct supervisor *supervisor)
{
    int last = 0;

    for (size_t i = 0; i < supervisor->count; i++)
        if (supervisor->children[i].stage > last)
            last = supervisor->children[i].stage;
    for (int stage = last; stage >= 0; stage--)
        stop_stage(supervisor, stage);
}

void supervisor_drain(struct supervisor *supervisor, void (*begin)(void *context), int64_t drain_us)
{
    supervisor->begin_drain = begin;
    supervisor->drain_us = drain_us;
}

static bool is_stop(int number)
{
    return number == SIGINT || number == SIGTERM;
}

static void drain(struct supervisor *supervisor, void *context)
{
    int64_t until = monotonic_us() + supervisor->drain_us;
    bool again = false;

    supervisor->begin_drain(context);
    while (!again && monotonic_us() < until) {
        reap(supervisor);
        int64_t next = start_due(supervisor);

        again = is_stop(wait_signal(supervisor, next < until ? next : until));
    }
}

bool supervise(struct supervisor *supervisor, bool (*ready)(void *context),
               void (*announce)(void *context), void *context)
{
    const struct supervisor_times *times = supervisor->times;
    int64_t give_up = monotonic_us() + times->ready_us;
    bool announced = false, told = false;

    while (!told && (announced || monotonic_us() < give_up)) {
        reap(supervisor);
        int64_t next = start_due(supervisor);

        if (!announced && ready(context)) {
            announced = true;
            announce(context);
        }
        if (!announced && next > monotonic_us() + times->probe_us)
            next = monotonic_us() + times->probe_us;
        told = is_stop(wait_signal(supervisor, next));
    }
    if (told && announced && supervisor->begin_drain)
        drain(supervisor, context);
    stop_all(supervisor);
    return told;
}
