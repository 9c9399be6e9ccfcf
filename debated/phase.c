/* phase.c - the calls of one phase, side by side on one thread.
 *
 * They start together; each result commits as it arrives. Twice a second one transaction looks for
 * a cancel and stores the running texts, so that who joins late, and who cancels, has them
 * (decision 20). */
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/store/attempt.h"
#include "debated/debate_run.h"
#include "debated/debate_trace.h"
#include "debated/figures.h"

#include <unistd.h>

#define LOOK_US        (US_PER_S / 2)
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

static enum result write_retry(struct run *run, void *arg)
{
    return record_retry(run, arg);
}

struct begins {
    struct call **at;
    size_t count;
};

static enum result write_starts(struct run *run, void *arg)
{
    const struct begins *begins = arg;

    for (size_t i = 0; i < begins->count; i++)
        TRY(record_start(run, begins->at[i]));
    return OK;
}

static enum result call_start(struct run *run, struct call *call)
{
    const struct transcript_agent *agent = &run->agents[call->agent];
    struct agent_request request = { .provider = agent->provider,
                                     .model = agent->model,
                                     .settings = &run->options.agents,
                                     .http = run->http,
                                     .prompt = &call->prompt };
    struct attempt_answer stored;

    if (run->debate.replay_of.at) {
        arena_reset(run->scratch);
        TRY(attempt_answer_find(&stored, run->db, run->debate.replay_of, call->step,
                                run->options.agents.vault));
        call->cited_id = stored.attempt_id.at ? arena_str(run->arena, stored.attempt_id) : STR_NONE;
        request.stored = &stored;
    }
    call_span_begin(&request.traceparent, run, call);
    return agent_start(&call->running, &request);
}

static void call_stop(struct call *call)
{
    call_span_end(call);
    agent_cancel(call->running);
    call->running = NULL;
}

/* The attempts are stored before anything is sent, in one transaction: ten agents have ninety
 * critiques, and none would say a word before the disk has kept the start of the last. */
static enum result calls_begin(struct run *run, struct begins *begins)
{
    if (!begins->count)
        return OK;
    if (stop_asked(run))
        return ERR_UNAVAILABLE;
    if (monotonic_us() >= run->deadline_us)
        return ERR_TIMEOUT;
    for (size_t i = 0; i < begins->count; i++)
        TRY(call_start(run, begins->at[i]));
    TRY(run_write(run, write_starts, begins));
    for (size_t i = 0; i < begins->count; i++) {
        begins->at[i]->discarded = false;
        begins->at[i]->attempts++;
        begins->at[i]->due_us = 0;
        begins->at[i]->begun_us = monotonic_us();
    }
    return OK;
}

/* Takes over what an earlier runner has done. */
static enum result call_find(struct run *run, struct call *call)
{
    struct step step = { 0 };

    arena_reset(run->scratch);
    enum result result = step_find(&step, run->db, run->job, call->step);
    if (result != ERR_NOT_FOUND)
        TRY(result);
    call->opened = true;
    call->attempts = step.attempts;
    call->discarded = str_is(step.status, "retry");
    call->done = str_is(step.status, "done") || str_is(step.status, "failed");
    if (call->done && step.text.at)
        call->text = arena_str(run->arena, step.text);
    return OK;
}

/* *due_us: when another try begins. false: none may help. */
static bool may_retry(int64_t *due_us, const struct run *run, struct call *call, int64_t now_us)
{
    struct retry_policy policy = run->options.agents.retries;
    struct agent_report report;
    uint64_t random;
    int64_t wait_us;

    if (!agent_plan(call->running))
        return false;
    agent_report(&report, call->running);
    if (report.retry == RETRY_ONCE && policy.retries > 1)
        policy.retries = 1;
    random_bytes(&random, sizeof(random));
    if (report.retry == RETRY_NEVER ||
        !retry_wait(&wait_us, &policy, ++call->tries, report.retry_after_us, random))
        return false;
    *due_us = now_us + wait_us;
    return *due_us < run->deadline_us;
}

static enum result call_give_up(struct run *run, struct call *call, int64_t due_us)
{
    TRY(run_write(run, write_retry, call));
    figures_call(run, call);
    call_stop(call);
    call->attempt_id = STR_NONE;
    call->discarded = true;
    buf_clear(&call->heard);
    call->chunks = 0;
    call->flushed_len = 0;
    call->due_us = due_us;
    return OK;
}

static enum result call_turn(struct run *run, struct call *call, int64_t now_us)
{
    size_t before = call->heard.len;
    int64_t again_us;

    enum call_state state = agent_advance(call->running, &call->heard, now_us, &call->due_us);

    if (call->heard.len > before) {
        call->chunks++;
        record_delta(run, call, str_slice(buf_view(&call->heard), before, call->heard.len));
    }
    if (state == CALL_RUNNING)
        return OK;
    if (state == CALL_FAILED && may_retry(&again_us, run, call, now_us))
        return call_give_up(run, call, again_us);
    if (state == CALL_DONE)
        call->text = arena_str(run->arena, buf_view(&call->heard));
    TRY(run_write(run, write_end, call));
    figures_call(run, call);
    call->done = true;
    call_stop(call);
    return stop_asked(run) ? ERR_UNAVAILABLE : OK;
}

struct phase {
    struct call *calls;
    size_t count;
    int64_t at_once;              /* 0: all */
    struct begins active, begins; /* room for all */
};

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

/* A call over HTTP ends the sleep when something of it arrives. */
static void sleep_until(const struct run *run, int64_t now_us, int64_t next_us)
{
    if (run->http)
        http_wait(run->http, next_us);
    else
        usleep((useconds_t)(next_us - now_us));
}

/* Lists the calls that are under way, as many as may be at once; begins those that are due. */
static enum result phase_begin(struct run *run, struct phase *phase, int64_t now_us)
{
    struct begins *active = &phase->active, *begins = &phase->begins;

    active->count = begins->count = 0;
    for (size_t i = 0; i < phase->count; i++) {
        struct call *call = &phase->calls[i];

        if (phase->at_once && active->count == (size_t)phase->at_once)
            break;
        if (!call->opened)
            TRY(call_find(run, call));
        if (call->done)
            continue;
        active->at[active->count++] = call;
        if (!call->running && call->due_us <= now_us)
            begins->at[begins->count++] = call;
    }
    return calls_begin(run, begins);
}

/* A turn of every call under way, then sleeps until one is due. *open: some are not done. */
static enum result phase_turn(struct run *run, struct phase *phase, bool *open, int64_t *look_us)
{
    int64_t now_us = monotonic_us(), next_us = *look_us;
    struct begins *active = &phase->active;

    TRY(phase_begin(run, phase, now_us));
    *open = active->count > 0;
    for (size_t i = 0; i < active->count; i++) {
        struct call *call = active->at[i];

        if (call->running)
            TRY(call_turn(run, call, now_us));
        if (call->done)
            next_us = now_us; /* another may take its place */
        else if (call->due_us < next_us)
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
        sleep_until(run, now_us, next_us);
    return OK;
}

enum result phase_run(struct run *run, struct call *calls, size_t count)
{
    struct phase phase = { calls,
                           count,
                           count ? run->options.agents.at_once[calls[0].prompt.kind] : 0,
                           { arena_array(run->arena, count, sizeof(struct call *)), 0 },
                           { arena_array(run->arena, count, sizeof(struct call *)), 0 } };
    int64_t look_us = monotonic_us() + LOOK_US;
    enum result result = OK, kept;
    bool open = true;
    struct span span;

    phase_span_begin(&span, run, calls, count);
    while (result == OK && open)
        result = phase_turn(run, &phase, &open, &look_us);
    if (result == ERR_CANCELLED || result == ERR_TIMEOUT) {
        kept = run_write_cancelled(run, write_partial_texts, &phase);
        if (kept != OK)
            result = kept;
    }
    for (size_t i = 0; i < count; i++) {
        call_stop(&calls[i]);
        buf_free(&calls[i].heard);
    }
    phase_span_end(&span, result);
    return result;
}
