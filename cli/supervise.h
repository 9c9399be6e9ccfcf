/* supervise.h - child processes that are kept alive, and ended in order.
 *
 * A child that dies is started again after a pause: 0.1 s, doubled at each death up to 5 s, and
 * back to 0.1 s after 10 s of life. Children get SIGTERM when this process dies, whatever kills
 * it. Signals come by sigtimedwait(), so nothing here runs in a handler. */
#ifndef ARAGORA_SUPERVISE_H
#define ARAGORA_SUPERVISE_H

#include "common/base/arena.h"

struct supervisor;

/* Blocks SIGCHLD, SIGINT and SIGTERM from here on. Lives in the arena. */
struct supervisor *supervisor_new(struct arena *arena, size_t room);

/* argv: with program and NULL, kept. input becomes standard input; -1: /dev/null. stop: the
 * signal that ends it gracefully. Children are started in this order and ended in the reverse,
 * the next stage only when the one before it is gone. */
void supervisor_add(struct supervisor *supervisor, const char *const *argv, int input, int stop,
                    int stage);

/* Starts and watches until SIGINT or SIGTERM (true), or until ready() has not said true for
 * limit_us (false); then ends all. announce() is called once, when ready. */
bool supervise(struct supervisor *supervisor, bool (*ready)(void *context),
               void (*announce)(void *context), void *context, int64_t limit_us);

#endif
