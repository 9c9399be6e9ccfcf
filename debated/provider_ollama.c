/* provider_ollama.c - Ollama's own /api/chat: one JSON object per line, the last with "done".
 *
 * Ollama cuts a prompt that does not fit num_ctx without a word, and its OpenAI-like interface
 * has no such parameter; so the size is asked for here, and an answer whose prompt filled it is
 * not believed. */
#include "debated/wire.h"

static void ask(struct buf *body, const struct wire_ask *ask)
{
    buf_char(body, '{');
    wire_member(body, "model", ask->model);
    buf_json_key(body, STR("messages"));
    buf_str(body, STR("[{\"role\":\"system\""));
    wire_member(body, "content", ask->text.system);
    buf_str(body, STR("},{\"role\":\"user\""));
    wire_member(body, "content", ask->text.user);
    buf_str(body, STR("}]"));
    buf_json_key(body, STR("stream"));
    buf_str(body, STR("true"));
    buf_json_key(body, STR("options"));
    buf_printf(body, "{\"num_ctx\":%lld,\"num_predict\":%lld}}", (long long)ask->context_tokens,
               (long long)ask->reply_tokens);
}

static unsigned blames(struct str error)
{
    (void)error;
    return 0;
}

static void take_end(struct wire_answer *answer, struct json_object *record)
{
    struct str reason = STR("stop"); /* older servers give none */

    (void)json_get_str(&reason, record, "done_reason");
    answer->closed = true;
    answer->tokens_in = wire_count(record, "prompt_eval_count");
    answer->tokens_out = wire_count(record, "eval_count");
    if (str_is(reason, "stop"))
        answer->finish = FINISH_STOP;
    else if (str_is(reason, "length"))
        answer->finish = FINISH_LENGTH;
    else
        answer->error = arena_printf(answer->arena, "the reply ended by \"" STR_FMT "\"",
                                     STR_ARG(str_cut(reason, 40)));
}

static void take(struct wire_answer *answer, struct str line)
{
    struct json_object *record, *message, *error;
    struct str model;
    bool done;

    if (!str_trim(line).len)
        return;
    if (json_parse(&record, answer->scratch, line, &json_limits_wide, NULL) != OK ||
        !json_object_is_type(record, json_type_object)) {
        answer->broken = true;
        return;
    }
    if (json_get(&error, record, "error")) {
        (void)wire_error(answer, record);
        return;
    }
    if (!json_get_bool(&done, record, "done")) {
        answer->broken = true;
        return;
    }
    if (!answer->model.at && json_get_str(&model, record, "model"))
        answer->model = arena_str(answer->arena, str_cut(model, 200));
    if (json_get(&message, record, "message"))
        wire_text(answer, message, "content");
    if (done)
        take_end(answer, record);
}

const struct wire wire_ollama = {
    .path = "/api/chat", .events = false, .ask = ask, .take = take, .blames = blames
};
