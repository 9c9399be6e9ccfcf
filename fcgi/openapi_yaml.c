/* openapi_yaml.c - the JSON document once more, as YAML.
 *
 * It is read back and written by libyaml, so the two cannot differ. Readers of YAML 1.1 and 1.2
 * must take each text for a text: one that might be anything else stands in quotes. */
#include "common/base/buf.h"
#include "common/base/json.h"
#include "handlers/handler.h"

#include <stdlib.h>
#include <yaml.h>

#define LINE_WIDTH     100
#define FIRST_OF_PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/"

static void emit(yaml_emitter_t *emitter, yaml_event_t *event)
{
    if (!yaml_emitter_emit(emitter, event))
        abort(); /* out of memory: the events are in order and the buffer takes all */
}

static int write_bytes(void *out, unsigned char *at, size_t len)
{
    buf_add(out, at, len);
    return 1;
}

/* Numbers, dates and the like begin with another character. */
static bool is_plain(struct str text)
{
    static const char *const words[] = {
        "true", "false", "yes", "no", "on", "off", "null", "y", "n"
    };

    if (!text.len || !strchr(FIRST_OF_PLAIN, text.at[0]))
        return false;
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eq_nocase(text, str_from(words[i])))
            return false;
    return true;
}

static void scalar(yaml_emitter_t *emitter, struct str text, bool quoted)
{
    yaml_event_t event;

    if (!yaml_scalar_event_initialize(
            &event, NULL, NULL, (const yaml_char_t *)text.at, (int)text.len, 1, 1,
            quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE))
        abort();
    emit(emitter, &event);
}

static void text_scalar(yaml_emitter_t *emitter, struct str text)
{
    scalar(emitter, text, !is_plain(text));
}

static void value(yaml_emitter_t *emitter, struct json_object *json);

static void object(yaml_emitter_t *emitter, struct json_object *json)
{
    yaml_event_t event;

    if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE))
        abort();
    emit(emitter, &event);
    json_object_object_foreach(json, key, child)
    {
        text_scalar(emitter, str_from(key));
        value(emitter, child);
    }
    yaml_mapping_end_event_initialize(&event);
    emit(emitter, &event);
}

static void array(yaml_emitter_t *emitter, struct json_object *json)
{
    yaml_event_t event;

    if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE))
        abort();
    emit(emitter, &event);
    for (size_t i = 0; i < json_object_array_length(json); i++)
        value(emitter, json_object_array_get_idx(json, i));
    yaml_sequence_end_event_initialize(&event);
    emit(emitter, &event);
}

static void value(yaml_emitter_t *emitter, struct json_object *json)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    if (json_object_is_type(json, json_type_object)) {
        object(emitter, json);
    } else if (json_object_is_type(json, json_type_array)) {
        array(emitter, json);
    } else if (json_object_is_type(json, json_type_string)) {
        text_scalar(emitter, json_str(json));
    } else {
        json_write(&text, json);
        scalar(emitter, buf_view(&text), false);
    }
}

static void document(struct buf *out, struct json_object *json)
{
    yaml_emitter_t emitter;
    yaml_event_t event;

    if (!yaml_emitter_initialize(&emitter))
        abort();
    yaml_emitter_set_output(&emitter, write_bytes, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, LINE_WIDTH);
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    emit(&emitter, &event);
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    emit(&emitter, &event);
    value(&emitter, json);
    yaml_document_end_event_initialize(&event, 1);
    emit(&emitter, &event);
    yaml_stream_end_event_initialize(&event);
    emit(&emitter, &event);
    yaml_emitter_delete(&emitter);
}

void openapi_write_yaml(struct buf *out, enum openapi_part part)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct json_object *json;

    openapi_write(&text, part);
    if (json_parse(&json, arena, buf_view(&text), &json_limits_wide, NULL) != OK)
        abort(); /* we wrote it; a test reads it */
    document(out, json);
}
