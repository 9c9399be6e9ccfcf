/* phase.c - the calls of one phase, side by side on one thread.
 *
 * They start together; each result commits as it arrives. Once a second one transaction looks for a
 * cancel and stores the running texts, so that who joins late, and who cancels, has them (decision
 * 20). */
#include "common/base/clock.h"
#include "debated/debate_run.h"

#include <unistd.h>

#define LOOK_US        US_PER_S
#define WRITE_ATTEMPTS 8

static enum result write_once(struct run *run, run_writer *write, void *arg, bool cancelled_too)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct str reason = STR_NONE;

    arena_reset(run->scratch);
    if (run->options.writes_left && run->writes == run->options.writes_left)
        return ERR_LEASE_LOST;
    TRY(tx_begin(&tx, run->db));
    enum result result = job_fence(&reason, run->db, run->job);
    if (result == ERR_CANCELLED)
        run->reason = arena_str(run->arena, reason);
    if (result != OK && !(result == ERR_CANCELLED && cancelled_too))
        return result;
    TRY(write(run, arg));
    TRY(tx_commit(&tx));
    run->writes++;
    return OK;
}

static enum result write_again(struct run *run, run_writer *write, void *arg, bool cancelled_too)
{
    enum result result;

    for (unsigned attempt = 1;; attempt++) {
        result = write_once(run, write, arg, cancelled_too);
        if ((result != ERR_DATABASE_RETRY && result != ERR_DATABASE_BUSY) ||
            attempt == WRITE_ATTEMPTS)
            return result;
        usleep(attempt * 20000);
    }
}

enum result run_write(struct run *run, run_writer *write, void *arg)
{
    return write_again(run, write, arg, false);
}

enum result run_write_cancelled(struct run *run, run_writer *write, void *arg)
{
    return write_again(run, write, arg, true);
}

static bool stop_asked(const struct run *run)
{
    return run->options.stop && atomic_load(run->options.stop);
}

static enum result write_end(struct run *run, void *arg)
{
    struct call *call = arg;

    return call->text.at ? record_done(run, call) : record_failed(run, call);
}

struct phase {
    struct call *calls;
    size_t count;
};

/* Takes over what an earlier runner has done. */
static enum result call_find(struct run *run, struct call *call)
{
    struct step step = { 0 };

    arena_reset(run->scratch);
    enum result result = step_find(&step, run->db, run->job, call->step);
    if (result != ERR_NOT_FOUND)
        TRY(result);
    call->attempts = step.attempts;
    call->done = str_is(step.status, "done") || str_is(step.status, "failed");
    if (call->done && step.text.at)
        call->text = arena_str(run->arena, step.text);
    return OK;
}

static enum result write_starts(struct run *run, void *arg)
{
    const struct phase *phase = arg;

    for (size_t i = 0; i < phase->count; i++)
        if (!phase->calls[i].done)
            TRY(record_start(run, &phase->calls[i]));
    return OK;
}

/* Begins what is not done, in one transaction: ten agents have ninety critiques, and none would
 * say a word before the disk has kept the start of the last. */
static enum result phase_open(struct run *run, struct phase *phase)
{
    size_t open = 0;

    for (size_t i = 0; i < phase->count; i++) {
        TRY(call_find(run, &phase->calls[i]));
        open += !phase->calls[i].done;
    }
    if (!open)
        return OK;
    if (stop_asked(run))
        return ERR_UNAVAILABLE;
    if (monotonic_us() >= run->deadline_us)
        return ERR_TIMEOUT;
    TRY(run_write(run, write_starts, phase));
    for (size_t i = 0; i < phase->count; i++) {
        struct call *call = &phase->calls[i];

        if (!call->done)
            TRY(agent_start(&call->running, run->agents[call->agent].provider, &run->options.agents,
                            &call->prompt));
    }
    return OK;
}

static enum result call_turn(struct run *run, struct call *call, int64_t now_us)
{
    size_t before = call->heard.len;
    enum call_state state = agent_advance(call->running, &call->heard, now_us, &call->due_us);

    if (call->heard.len > before) {
        call->chunks++;
        record_delta(run, call, str_slice(buf_view(&call->heard), before, call->heard.len));
    }
    if (state == CALL_RUNNING)
        return OK;
    if (state == CALL_DONE)
        call->text = arena_str(run->arena, buf_view(&call->heard));
    TRY(run_write(run, write_end, call));
    call->done = true;
    return stop_asked(run) ? ERR_UNAVAILABLE : OK;
}

static enum result write_running_texts(struct run *run, void *arg)
{
    const struct phase *phase = arg;

    for (size_t i = 0; i < phase->count; i++) {
        struct call *call = &phase->calls[i];

        if (call->done || call->heard.len == call->flushed_len)
            continue;
        TRY(step_flush(run->db, run->job, call->step, buf_view(&call->heard), call->chunks));
        call->flushed_len = call->heard.len;
    }
    return OK;
}

static enum result write_partial_texts(struct run *run, void *arg)
{
    const struct phase *phase = arg;

    for (size_t i = 0; i < phase->count; i++)
        if (!phase->calls[i].done && phase->calls[i].running)
            TRY(record_partial(run, &phase->calls[i]));
    return OK;
}

/* Every call that is due, then sleeps until the next one is. *open: some are not done. */
static enum result phase_turn(struct run *run, struct phase *phase, bool *open, int64_t *look_us)
{
    int64_t now_us = monotonic_us(), next_us = *look_us;

    *open = false;
    for (size_t i = 0; i < phase->count; i++) {
        struct call *call = &phase->calls[i];

        if (!call->done && call->due_us <= now_us)
            TRY(call_turn(run, call, now_us));
        if (call->done)
            continue;
        *open = true;
        if (call->due_us < next_us)
            next_us = call->due_us;
    }
    if (now_us >= run->deadline_us && *open)
        return ERR_TIMEOUT;
    if (now_us >= *look_us && *open) {
        TRY(run_write(run, write_running_texts, phase));
        *look_us = now_us + LOOK_US;
    }
    now_us = monotonic_us();
    if (*open && next_us > now_us)
        usleep((useconds_t)(next_us - now_us));
    return OK;
}

enum result phase_run(struct run *run, struct call *calls, size_t count)
{
    struct phase phase = { calls, count };
    int64_t look_us = monotonic_us() + LOOK_US;
    enum result result = phase_open(run, &phase), kept;
    bool open = true;

    while (result == OK && open)
        result = phase_turn(run, &phase, &open, &look_us);
    if (result == ERR_CANCELLED || result == ERR_TIMEOUT) {
        kept = run_write_cancelled(run, write_partial_texts, &phase);
        if (kept != OK)
            result = kept;
    }
    for (size_t i = 0; i < count; i++) {
        agent_cancel(calls[i].running);
        calls[i].running = NULL;
        buf_free(&calls[i].heard);
    }
    return result;
}
