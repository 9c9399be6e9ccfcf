#include "debated/replay.h"

#include "common/store/attempt.h"
#include "debated/wire.h"

struct replay_call {
    struct agent_call call;
    struct str text;
    struct agent_report report; /* message STR_NONE: text is the answer */
};

static void fail(struct replay_call *replay, enum agent_fault fault, struct str why)
{
    replay->report.fault = fault;
    replay->report.message = arena_str(replay->call.arena, why);
}

/* As agent_error told it. */
static void fail_again(struct replay_call *replay, struct str failure)
{
    struct json_object *told;
    struct str word, why = STR("The agent gave no answer");
    enum agent_fault fault = AGENT_UNKNOWN;

    if (failure.at &&
        json_parse(&told, replay->call.arena, failure, &json_limits_wide, NULL) == OK) {
        (void)json_get_str(&why, told, "message");
        if (json_get_str(&word, told, "error_type"))
            fault = agent_fault_find(word);
    }
    fail(replay, fault, why);
}

static void read_reply(struct replay_call *replay, const struct wire *wire, struct str reply)
{
    CLEANUP(arena_cleanup) struct arena *scratch = arena_new();
    CLEANUP(buf_free) struct buf text = { 0 };
    struct sse sse = { 0 };
    struct wire_answer answer = { .arena = replay->call.arena, .scratch = scratch, .text = &text };

    wire_read(&answer, &sse, wire, reply);
    sse_free(&sse);
    if (answer.finish == FINISH_STOP && !answer.broken && !answer.error.at)
        replay->text = arena_str(replay->call.arena, buf_view(&text));
    else
        fail(replay, AGENT_BROKEN, STR("The stored reply cannot be read to its end"));
}

static enum call_state advance(struct agent_call *call, struct buf *text, int64_t now_us,
                               int64_t *due_us)
{
    const struct replay_call *replay = (const struct replay_call *)call;

    *due_us = now_us;
    if (replay->report.message.at)
        return CALL_FAILED;
    buf_str(text, replay->text);
    return CALL_DONE;
}

static void report(struct agent_report *out, struct agent_call *call)
{
    *out = ((const struct replay_call *)call)->report;
}

struct agent_call *replay_start(const struct agent_request *request,
                                const struct provider *provider)
{
    static const struct agent_kind kind = { .advance = advance, .report = report };
    const struct attempt_answer *stored = request->stored;
    struct arena *arena = arena_new();
    struct replay_call *replay = arena_alloc(arena, sizeof(*replay));

    replay->call = (struct agent_call){ .kind = &kind, .arena = arena };
    if (stored->reply.at)
        read_reply(replay, wire_of(provider), stored->reply);
    else if (str_is(stored->status, "failed"))
        fail_again(replay, stored->failure.text);
    else
        fail(replay, AGENT_UNKNOWN, STR("The debate that is replayed has no reply of this step"));
    return &replay->call;
}
