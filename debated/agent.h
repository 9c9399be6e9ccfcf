/* agent.h - one call of an agent: begun, advanced as its text arrives, ended or cancelled.
 *
 * Calls never block: all of a phase advance in turn on one thread. Demo agents answer by
 * themselves (agent_demo.c), all others through a provider (provider_call.c), or from what a
 * provider answered before (replay.c). */
#ifndef ARAGORA_AGENT_H
#define ARAGORA_AGENT_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/http/client.h"
#include "common/http/retry.h"

struct attempt_answer;
struct attempt_vault;
struct cooldowns;

enum call_kind {
    CALL_PROPOSAL,
    CALL_CRITIQUE,
    CALL_REVISION,
    CALL_VOTE,
    CALL_JUDGE,
    CALL_SYNTHESIS
};
#define CALL_KINDS 6

struct said {
    struct str agent, text;
};

struct prompt { /* borrowed for the call's life */
    enum call_kind kind;
    int64_t round;
    size_t seat; /* the agent's place in the debate */
    struct str agent, task;
    struct str context, persona, role; /* STR_NONE: none */
    struct str own;                    /* its proposal as it stands */
    struct said target;                /* of a critique; of a synthesis: what was decided */
    bool judged;                       /* by a judge, whose words target is */
    struct list critiques;             /* of struct said: what others said to own; to a judge, the
                                          gravest of all */
    struct list proposals;             /* of struct said: all, as they stand */
};

struct agent_settings {
    int64_t demo_pause_us; /* between two words; 0: all at once */
    struct http_config http;
    struct http_limits limits; /* of a provider's answer */
    bool offline;              /* only this machine is called */
    int64_t reply_tokens;      /* greatest length of a reply */
    int64_t context_tokens;    /* greatest context asked of a provider that asks for its size */
    struct retry_policy retries;
    int64_t at_once[CALL_KINDS];       /* calls of a debate under way; 0: all */
    struct cooldowns *cooldowns;       /* of the process; NULL: none are kept */
    const struct attempt_vault *vault; /* NULL: replies are not kept */
};

struct agent_request {
    struct str provider, model; /* model STR_NONE: the provider's default */
    const struct agent_settings *settings;
    struct http_client *http; /* NULL: demo agents only */
    const struct prompt *prompt;
    const struct attempt_answer *stored; /* a replay's: it answers, no provider does; else NULL */
    struct str traceparent;              /* sent along; STR_NONE: none */
};

enum call_state { CALL_RUNNING, CALL_DONE, CALL_FAILED };

/* What a call will cost at most; told before anything is sent. */
struct agent_plan {
    struct str provider, model, request_digest;
    int64_t tokens_in, tokens_out, worst_micro_usd;
};

/* Why a call failed; the words of agent_fault_name() are those of agent_error. */
enum agent_fault {
    AGENT_NO_FAULT,
    AGENT_TIMEOUT,
    AGENT_RATE_LIMIT,
    AGENT_NETWORK,
    AGENT_AUTH,
    AGENT_VALIDATION,
    AGENT_MODEL,
    AGENT_CONTENT_POLICY, /* a refusal */
    AGENT_EMPTY,
    AGENT_TRUNCATED, /* the reply reached its greatest length */
    AGENT_BROKEN,    /* the answer is not what the interface says, or ends early */
    AGENT_UNKNOWN,
};
const char *agent_fault_name(enum agent_fault fault);
enum agent_fault agent_fault_find(struct str name); /* AGENT_UNKNOWN: not one of them */

enum agent_retry { RETRY_NEVER, RETRY_ONCE, RETRY_OFTEN };

struct agent_report {
    enum agent_fault fault;
    struct str message; /* for people, without secrets; STR_NONE: it is done */
    enum agent_retry retry;
    int64_t retry_after_us; /* as the provider asks; INT_NONE: it does not */
    struct str model_served, request_digest;
    int64_t tokens_in, tokens_out, cost_micro_usd; /* INT_NONE: unknown */
    bool estimated;                                /* the tokens were not told */
    struct utc first_byte_at;                      /* .us 0: none came */
    struct str reply;                              /* the bytes as received */
};

struct agent_call;

/* Nothing is sent before the first agent_advance(). *out is the caller's, for agent_cancel().
 * ERR_PROVIDER_NOT_CONFIGURED: no such provider, or it cannot be called. */
MUST_USE enum result agent_start(struct agent_call **out, const struct agent_request *request);
/* NULL: the call costs nothing and leaves no attempt. Borrowed from the call. */
const struct agent_plan *agent_plan(const struct agent_call *call);
/* Appends what has arrived by now. *due_us: monotonic time to be asked again, if it runs; before
 * it whenever http_wait() returns. */
enum call_state agent_advance(struct agent_call *call, struct buf *text, int64_t now_us,
                              int64_t *due_us);
/* What became of a call, ended or not. Strings are borrowed from the call. */
void agent_report(struct agent_report *out, struct agent_call *call);
/* Ends the call at any time; NULL is fine. */
void agent_cancel(struct agent_call *call);

/* What a demo agent answers, whole; lives in the arena. */
struct str demo_answer(struct arena *arena, const struct prompt *prompt);

#endif
