/* supervise.h - child processes that are kept alive, and ended in order.
 *
 * A child that dies is started again after a pause, which doubles at each death, until one lives
 * long. One that ended with status 0, as a worker that has done its part, is replaced at once, but
 * not more often than the least pause allows. Children get SIGTERM when this process dies,
 * whatever kills it. Signals come by sigtimedwait(), so nothing here runs in a handler. */
#ifndef ARAGORA_SUPERVISE_H
#define ARAGORA_SUPERVISE_H

#include "common/base/arena.h"

struct supervisor;

struct supervisor_times {
    int64_t pause_min_us, pause_max_us; /* before a restart */
    int64_t long_life_us;               /* after it the pause is the least again */
    int64_t grace_us;                   /* from the signal that ends a child to SIGKILL */
    int64_t probe_us;                   /* between two calls of ready() */
    int64_t ready_us;                   /* not ready by then: all is ended */
};

extern const struct supervisor_times supervisor_times;

/* Blocks SIGCHLD, SIGINT and SIGTERM from here on. Lives in the arena. times: kept. */
struct supervisor *supervisor_new(struct arena *arena, const struct supervisor_times *times,
                                  size_t room);

/* argv: with program and NULL, kept. input becomes standard input; -1: /dev/null. stop: the
 * signal that ends it gracefully. Children are started in this order and ended in the reverse,
 * the next stage only when the one before it is gone. */
void supervisor_add(struct supervisor *supervisor, const char *const *argv, int input, int stop,
                    int stage);

/* When told to stop, calls begin() first, and goes on for so long or until told again. */
void supervisor_drain(struct supervisor *supervisor, void (*begin)(void *context),
                      int64_t drain_us);

/* Starts and watches until SIGINT or SIGTERM (true), or until ready() has not said true in time
 * (false); then ends all. announce() is called once, when ready. */
bool supervise(struct supervisor *supervisor, bool (*ready)(void *context),
               void (*announce)(void *context), void *context);

#endif
