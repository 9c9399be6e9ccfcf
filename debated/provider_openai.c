/* provider_openai.c - chat completions as OpenAI, OpenRouter, vLLM and llama.cpp speak them.
 *
 * The stream's chunks carry pieces of text, then a finish_reason, then perhaps the usage, then
 * "[DONE]". OpenRouter tells errors in a chunk, after the 200. */
#include "debated/wire.h"

#include <math.h>
#include <strings.h>

static void add_message(struct buf *body, const char *role, struct str content)
{
    buf_json_comma(body);
    buf_char(body, '{');
    wire_member(body, "role", str_from(role));
    wire_member(body, "content", content);
    buf_char(body, '}');
}

/* Models that know max_completion_tokens only; what stands before a slash is the vendor. */
static bool counts_thoughts(struct str model)
{
    static const char *const families[] = { "gpt-5", "o1", "o3", "o4" };

    for (size_t i = 0; i < COUNT(families); i++)
        if (str_starts(model, str_from(families[i])))
            return true;
    return false;
}

static void ask(struct buf *body, const struct wire_ask *ask)
{
    bool completion = counts_thoughts(ask->model) != ((ask->without & WIRE_MAX_TOKENS) != 0);

    buf_char(body, '{');
    wire_member(body, "model", ask->model);
    buf_json_key(body, STR("messages"));
    buf_char(body, '[');
    add_message(body, "system", ask->text.system);
    add_message(body, "user", ask->text.user);
    buf_char(body, ']');
    buf_json_key(body, completion ? STR("max_completion_tokens") : STR("max_tokens"));
    buf_json_int(body, ask->reply_tokens);
    buf_json_key(body, STR("stream"));
    buf_str(body, STR("true"));
    if (!(ask->without & WIRE_STREAM_OPTIONS)) {
        buf_json_key(body, STR("stream_options"));
        buf_str(body, STR("{\"include_usage\":true}"));
    }
    buf_char(body, '}');
}

static unsigned blames(struct str error)
{
    size_t at;

    if (str_find(&at, error, STR("stream_options")))
        return WIRE_STREAM_OPTIONS;
    if (str_find(&at, error, STR("max_tokens")) ||
        str_find(&at, error, STR("max_completion_tokens")))
        return WIRE_MAX_TOKENS;
    return 0;
}

static void take_usage(struct wire_answer *answer, struct json_object *chunk)
{
    struct json_object *usage, *cost;

    if (!json_get(&usage, chunk, "usage"))
        return;
    answer->tokens_in = wire_count(usage, "prompt_tokens");
    answer->tokens_out = wire_count(usage, "completion_tokens");
    if (!json_get(&cost, usage, "cost") ||
        (!json_object_is_type(cost, json_type_double) && !json_object_is_type(cost, json_type_int)))
        return;
    double usd = json_object_get_double(cost);
    if (usd >= 0 && usd < 1e6)
        answer->cost_micro_usd = (int64_t)ceil(usd * 1e6);
}

static void take_finish(struct wire_answer *answer, struct str reason)
{
    static const struct {
        const char *reason;
        enum wire_finish finish;
    } finishes[] = {
        { "stop", FINISH_STOP },
        { "eos", FINISH_STOP },
        { "stop_sequence", FINISH_STOP },
        { "end_turn", FINISH_STOP },
        { "length", FINISH_LENGTH },
        { "max_tokens", FINISH_LENGTH },
        { "content_filter", FINISH_REFUSED },
    };

    for (size_t i = 0; i < COUNT(finishes); i++) {
        if (str_is(reason, finishes[i].reason)) {
            if (answer->finish != FINISH_REFUSED)
                answer->finish = finishes[i].finish;
            return;
        }
    }
    answer->error = arena_printf(answer->arena, "the reply ended by \"" STR_FMT "\"",
                                 STR_ARG(str_cut(reason, 40)));
}

static void take_choice(struct wire_answer *answer, struct json_object *choice)
{
    struct json_object *delta;
    struct str reason, refusal;

    if (json_get(&delta, choice, "delta")) {
        wire_text(answer, delta, "content");
        if (json_get_str(&refusal, delta, "refusal") && refusal.len)
            answer->finish = FINISH_REFUSED;
    }
    if (json_get_str(&reason, choice, "finish_reason") && reason.len)
        take_finish(answer, reason);
}

static void take(struct wire_answer *answer, struct str record)
{
    struct json_object *chunk, *choices, *error;

    if (str_is(str_trim(record), "[DONE]")) {
        answer->closed = true;
        return;
    }
    if (json_parse(&chunk, answer->scratch, record, &json_limits_wide, NULL) != OK ||
        !json_object_is_type(chunk, json_type_object)) {
        answer->broken = true;
        return;
    }
    if (json_get(&error, chunk, "error")) {
        (void)wire_error(answer, chunk);
        return;
    }
    if (!json_get(&choices, chunk, "choices") || !json_object_is_type(choices, json_type_array)) {
        answer->broken = true;
        return;
    }
    struct str model;
    if (!answer->model.at && json_get_str(&model, chunk, "model"))
        answer->model = arena_str(answer->arena, str_cut(model, 200));
    take_usage(answer, chunk);
    if (json_object_array_length(choices) > 0) /* the chunk of the usage has none */
        take_choice(answer, json_object_array_get_idx(choices, 0));
}

const struct wire wire_openai = {
    .path = "/chat/completions", .events = true, .ask = ask, .take = take, .blames = blames
};
