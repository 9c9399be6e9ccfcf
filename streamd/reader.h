/* reader.h - the thread that asks the database for the event loop.
 *
 * The loop hands over a query and gets it back answered, through a descriptor that it watches.
 * Queries are answered in order. */
#ifndef ARAGORA_STREAMD_READER_H
#define ARAGORA_STREAMD_READER_H

#include "common/auth/principal.h"
#include "common/store/stream.h"
#include "common/trace/context.h"

enum query_kind {
    QUERY_JOIN,     /* whose token is this, and which debates may its holder see? */
    QUERY_SNAPSHOT, /* a loop as it stands */
    QUERY_EVENTS,   /* events of a loop from a seq on */
    QUERY_SWEEP,    /* which loops moved, how many are active */
};

#define EVENTS_A_READ 200

struct read_event {
    int64_t seq;
    struct str type, agent, task_id;
    int64_t attempt; /* of a token_start; else 0 */
    struct str json; /* the frame's text */
};

struct query { /* all strings live in its arena */
    enum query_kind kind;
    struct arena *arena;
    struct query *next;
    uint64_t client_id;         /* of JOIN and SNAPSHOT */
    struct trace_context trace; /* of what asks */
    uint64_t ticket;            /* SNAPSHOT: of the subscription that asks */

    struct str token;       /* JOIN; STR_NONE: none was sent */
    bool only_live;         /* JOIN: not who, but what visible_org has */
    struct principal who;   /* JOIN: out if a token was sent, else in */
    struct str visible_org; /* whose loops it may see: SNAPSHOT, only_live; STR_NONE: nobody's */
    struct str org_id, loop_id; /* SNAPSHOT: org_id is out; EVENTS: in */
    int64_t from;               /* EVENTS: seq; SNAPSHOT: what the client has, -1: nothing */
    struct utc since;           /* SWEEP; absent: it is the first */

    enum result result;
    struct list live;          /* JOIN: of struct loop_live */
    struct loop_state state;   /* SNAPSHOT; ERR_NOT_FOUND: no such loop */
    struct str sync;           /* SNAPSHOT: members of sync.data, without braces */
    struct str start;          /* SNAPSHOT: data of debate_start for who comes late; STR_NONE */
    struct list running;       /* SNAPSHOT: of struct running_text */
    struct list events;        /* EVENTS: of struct read_event */
    struct list moved, active; /* SWEEP: of loop_moved, loops_of */
};

struct query *query_new(enum query_kind kind); /* for reader_ask() */
void query_free(struct query *query);

struct reader;

/* *out is the caller's, for reader_stop(). ERR_SYSTEM. */
MUST_USE enum result reader_start(struct reader **out, const struct db_config *database);
void reader_stop(struct reader *reader);                     /* ends the thread; NULL is fine */
void reader_ask(struct reader *reader, struct query *query); /* takes it */
int reader_descriptor(const struct reader *reader);
struct query *reader_answer(struct reader *reader); /* the caller's; NULL: none is ready */

#endif
