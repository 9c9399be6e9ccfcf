/* debate_run.h - what the engine's files share: a debate in progress and its calls. */
#ifndef ARAGORA_DEBATE_RUN_H
#define ARAGORA_DEBATE_RUN_H

#include "common/store/debate.h"
#include "common/store/transcript.h"
#include "common/trace/span.h"
#include "debated/consensus.h"
#include "debated/engine.h"

#define NO_TARGET SIZE_MAX

struct run {
    struct db *db;
    const struct job *job;
    struct engine_options options;
    struct arena *arena;   /* lives as long as the run */
    struct arena *scratch; /* until the next write: what a transaction reads */
    struct debate debate;
    const struct transcript_agent *agents;
    struct str *names;
    size_t count;
    struct said *proposals;       /* by agent; text STR_NONE: it has none */
    int64_t *failures;            /* by agent: calls that failed in a row */
    const struct call *critiques; /* of the last round */
    size_t critique_count;
    bool *absent; /* by agent: it gave no proposal, or where there was a vote, none of these */
    struct verdict verdict;
    struct str judgement; /* STR_NONE: nobody judged */
    size_t judge;         /* whose it is */
    struct str synthesis;
    struct str problem;       /* of the last call that failed */
    struct http_client *http; /* NULL: no agent needs it */
    struct str reason;        /* of a cancel */
    int64_t rounds_done, deadline_us, writes;
    struct span span; /* of the job */
};

struct call {
    struct prompt prompt;
    size_t agent, target; /* places; NO_TARGET */
    struct str step, task_id;
    struct str text; /* once it is done; STR_NONE: it failed */
    bool opened, done;
    bool discarded;             /* clients know that what they heard does not count */
    struct agent_call *running; /* NULL: waits for another try, until due_us */
    struct span span;           /* of the running one */
    struct str attempt_id;      /* STR_NONE: none is stored */
    struct str cited_id;        /* a replay's: the attempt that it is answered from */
    int64_t tries;
    struct buf heard;
    int64_t begun_us, due_us, flushed_us;
    int64_t attempts; /* begun and stored, by earlier runners too */
    size_t flushed_len;
    int64_t chunks; /* pieces of text that arrived */
};

/* One transaction, fence first; again when the database asks for it. ERR_CANCELLED and
 * ERR_LEASE_LOST: nothing was written. */
typedef enum result run_writer(struct run *run, void *arg);
MUST_USE enum result run_write(struct run *run, run_writer *write, void *arg);
/* The same for a debate that is being cancelled. */
MUST_USE enum result run_write_cancelled(struct run *run, run_writer *write, void *arg);

#define FAILURES_MAX 3 /* in a row: an agent's last calls */

/* A dead provider would cost each phase its whole limit (debates.md 12). The steps that are stored
 * tell a resumed debate the same. */
bool agent_is_out(const struct run *run, size_t agent);

/* For as long as the run lives. */
struct call *calls_new(struct run *run, size_t count);
/* target: NO_TARGET, or the place of another. */
void call_set(struct run *run, struct call *call, enum call_kind kind, int64_t round, size_t agent,
              size_t target);
/* As phase_run(), counting who fails. */
MUST_USE enum result calls_run(struct run *run, struct call *calls, size_t count);

/* Runs all calls side by side until each is done. ERR_TIMEOUT, ERR_CANCELLED: partial texts are
 * stored; ERR_UNAVAILABLE: asked to stop. */
MUST_USE enum result phase_run(struct run *run, struct call *calls, size_t count);

/* A piece of a call's text, as it arrives: told, not stored. */
void record_delta(struct run *run, const struct call *call, struct str text);
/* What a call leaves behind, inside a transaction. */
MUST_USE enum result record_start(struct run *run, struct call *call);
MUST_USE enum result record_done(struct run *run, struct call *call);
/* Given up for another try; running is the call that failed. */
MUST_USE enum result record_retry(struct run *run, struct call *call);
MUST_USE enum result record_failed(struct run *run, struct call *call);
MUST_USE enum result record_partial(struct run *run, struct call *call);
const char *phase_name(enum call_kind kind);

#endif
