#include "debated/wire.h"

const struct wire *wire_of(const struct provider *provider)
{
    return provider->kind == PROVIDER_OLLAMA ? &wire_ollama : &wire_openai;
}

static bool next_record(struct str *record, const struct wire *wire, struct sse *sse)
{
    return wire->events ? sse_next(record, sse) : lines_next(record, &sse->lines);
}

bool wire_is_over(const struct wire_answer *answer)
{
    return answer->closed || answer->broken || answer->error.at;
}

void wire_read(struct wire_answer *answer, struct sse *sse, const struct wire *wire,
               struct str arrived)
{
    struct str record;

    sse_feed(sse, arrived);
    while (!wire_is_over(answer) && next_record(&record, wire, sse)) {
        arena_reset(answer->scratch);
        wire->take(answer, record);
    }
}

void wire_member(struct buf *body, const char *name, struct str value)
{
    buf_json_key(body, str_from(name));
    buf_json_str(body, value);
}

void wire_text(struct wire_answer *answer, struct json_object *parent, const char *name)
{
    struct str text;

    if (json_get_str(&text, parent, name))
        buf_str(answer->text, text);
}

int64_t wire_count(struct json_object *parent, const char *name)
{
    struct json_object *value;
    int64_t count;

    if (!json_get(&value, parent, name) || !json_object_is_type(value, json_type_int))
        return INT_NONE;
    count = json_object_get_int64(value);
    return count < 0 ? INT_NONE : count;
}

/* A code that is a number, or a text of one. */
static int status_in(struct json_object *error)
{
    int64_t code = wire_count(error, "code");
    struct str text;

    if (code == INT_NONE &&
        (!json_get_str(&text, error, "code") || !str_int(&code, text, 400, 599)))
        return 0;
    return code >= 400 && code <= 599 ? (int)code : 0;
}

bool wire_error(struct wire_answer *answer, struct json_object *record)
{
    struct json_object *error;
    struct str message = STR_NONE;

    if (json_get(&error, record, "error")) {
        message = json_str(error);
        if (!message.at && !json_get_str(&message, error, "message"))
            message = STR("an error without a message");
        answer->error_status = status_in(error);
    } else if (!json_get_str(&message, record, "message") &&
               !json_get_str(&message, record, "detail")) {
        return false;
    }
    answer->error = arena_str(answer->arena, message);
    return true;
}
