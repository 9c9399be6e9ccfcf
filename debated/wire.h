/* wire.h - the part of a provider's interface that differs: how it asks, how its answer reads.
 *
 * provider_call.c does the rest for all of them. */
#ifndef ARAGORA_WIRE_H
#define ARAGORA_WIRE_H

#include "common/base/json.h"
#include "common/base/provider.h"
#include "common/http/sse.h"
#include "debated/prompt.h"

/* Parameters that some models refuse; one that a 400 names is asked without, once. */
enum wire_parameter {
    WIRE_STREAM_OPTIONS = 1,
    WIRE_MAX_TOKENS = 2, /* max_completion_tokens stands for it, or the other way round */
};

struct wire_ask {
    const struct provider *provider;
    struct prompt_text text;
    struct str model;
    int64_t reply_tokens;
    int64_t context_tokens; /* that prompt and reply need, rounded up */
    unsigned without;       /* of enum wire_parameter */
};

enum wire_finish { FINISH_OPEN, FINISH_STOP, FINISH_LENGTH, FINISH_REFUSED };

struct wire_answer {               /* as far as it was read */
    struct arena *arena, *scratch; /* scratch: until the next record */
    struct buf *text;              /* pieces are appended here */
    bool closed;                   /* the record that ends a stream was there */
    bool broken;                   /* a record was not what it must be */
    enum wire_finish finish;
    struct str error; /* told inside the answer; STR_NONE: none */
    int error_status; /* its code, where it is like an HTTP status; else 0 */
    struct str model;
    int64_t tokens_in, tokens_out, cost_micro_usd; /* INT_NONE: not told */
};

struct wire {
    const char *path; /* behind the base address */
    bool events;      /* records are server-sent events, else lines */
    void (*ask)(struct buf *body, const struct wire_ask *ask);
    void (*take)(struct wire_answer *answer, struct str record);
    /* Parameters that can be left out and are spoken of in an error. */
    unsigned (*blames)(struct str error);
};

extern const struct wire wire_openai, wire_ollama;

const struct wire *wire_of(const struct provider *provider);
/* Bytes of an answer as they arrive, up to where it is over. */
void wire_read(struct wire_answer *answer, struct sse *sse, const struct wire *wire,
               struct str arrived);
bool wire_is_over(const struct wire_answer *answer);

/* Shared by the interfaces: the "error" of a record or a whole body, text or object with message
 * and code; a message or detail beside it. false: there is none. */
bool wire_error(struct wire_answer *answer, struct json_object *record);
void wire_member(struct buf *body, const char *name, struct str value);
void wire_text(struct wire_answer *answer, struct json_object *parent, const char *name);
/* INT_NONE: not there, or no count. */
int64_t wire_count(struct json_object *parent, const char *name);

#endif
