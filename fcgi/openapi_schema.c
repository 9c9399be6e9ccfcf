/* openapi_schema.c - a field table as a JSON Schema (2020-12).
 *
 * What a schema says must be what field_input.c does: a value that fits is taken, another is
 * refused; make check-contract asks the running server. */
#include "fcgi/openapi_part.h"

static bool may_be_null(const struct field *field, enum schema_of of)
{
    return (of == SCHEMA_REPLY && field->absent == ABSENT_NULL) ||
           (of == SCHEMA_BODY && !field->required);
}

static bool takes_commas(const struct field *field)
{
    return field->type == FIELD_STRS ||
           (field->type == FIELD_JSON && field->kind == JSON_ARRAY_OR_TEXT);
}

/* name and, of a list in a body, "a, b" as well. */
static void type(struct buf *out, const char *name, const struct field *field, enum schema_of of)
{
    bool null = may_be_null(field, of), text = of == SCHEMA_BODY && takes_commas(field);

    if (!null && !text) {
        member(out, "type", name);
        return;
    }
    buf_json_key(out, STR("type"));
    buf_printf(out, "[\"%s\"%s%s]", name, text ? ",\"string\"" : "", null ? ",\"null\"" : "");
}

static void choices_schema(struct buf *out, const struct field *field, enum schema_of of)
{
    buf_json_key(out, STR("enum"));
    buf_char(out, '[');
    for (const char *const *word = field->choices; *word; word++) {
        buf_json_comma(out);
        buf_json_str(out, str_from(*word));
    }
    buf_str(out, may_be_null(field, of) ? STR(",null]") : STR("]"));
}

static void text_schema(struct buf *out, const struct field *field, enum schema_of of)
{
    type(out, "string", field, of);
    if (field->choices && field->choices[0])
        choices_schema(out, field, of);
    if (of == SCHEMA_REPLY)
        return;
    if (field->pattern != PATTERN_NONE)
        member(out, "pattern", field_pattern_text(field->pattern));
    else if (field->trim && field->min)
        member(out, "pattern", "[^ \\t-\\r]"); /* what is left after trimming */
    if (field->min)
        whole(out, "minLength", field->min);
    if (field->max)
        whole(out, "maxLength", field->max);
}

static void number_schema(struct buf *out, const struct field *field, enum schema_of of)
{
    bool integer = field->type == FIELD_INT;

    type(out, integer ? "integer" : "number", field, of);
    if (of == SCHEMA_REPLY)
        return;
    if (integer && (field->min || field->max)) {
        whole(out, "minimum", field->min);
        if (field->max)
            whole(out, "maximum", field->max);
    } else if (!integer && field->min_real != field->max_real) {
        buf_json_key(out, STR("minimum"));
        buf_json_double(out, field->min_real);
        buf_json_key(out, STR("maximum"));
        buf_json_double(out, field->max_real);
    }
}

static void list_schema(struct buf *out, const struct field *field, enum schema_of of)
{
    type(out, "array", field, of);
    open_object(out, "items");
    if (field->type == FIELD_STRUCTS)
        schema_object(out, field->fields, of, NULL);
    else if (field->type == FIELD_STRS)
        member(out, "type", "string");
    buf_char(out, '}');
    if (of != SCHEMA_REPLY && field->min)
        whole(out, "minItems", field->min);
    if (of != SCHEMA_REPLY && field->max)
        whole(out, "maxItems", field->max);
}

static void time_schema(struct buf *out, const struct field *field, enum schema_of of)
{
    bool number = of == SCHEMA_REPLY && field->form == FORM_EPOCH;

    type(out, number ? "number" : "string", field, of);
    if (!number && (of != SCHEMA_REPLY || field->absent != ABSENT_EMPTY)) /* "" is no date-time */
        member(out, "format", "date-time");
}

static void type_schema(struct buf *out, const struct field *field, enum schema_of of)
{
    switch (field->type) {
    case FIELD_STR:
    case FIELD_ENUM:
        text_schema(out, field, of);
        break;
    case FIELD_INT:
    case FIELD_DOUBLE:
        number_schema(out, field, of);
        break;
    case FIELD_BOOL:
        type(out, "boolean", field, of);
        break;
    case FIELD_UTC:
        time_schema(out, field, of);
        break;
    case FIELD_STRS:
    case FIELD_STRUCTS:
        list_schema(out, field, of);
        break;
    case FIELD_JSON:
        if (field->kind == JSON_ARRAY || field->kind == JSON_ARRAY_OR_TEXT)
            list_schema(out, field, of);
        else if (field->kind == JSON_OBJECT)
            type(out, "object", field, of);
        break;
    case FIELD_OBJECT:
        schema_object(out, field->fields, of, NULL);
        break;
    case FIELD_BYTES: /* never leaves the database */
        break;
    }
}

void schema_value(struct buf *out, const struct field *field, struct str text)
{
    struct str rest = text, part;
    bool flag;

    if (field->type == FIELD_INT || field->type == FIELD_DOUBLE || field->type == FIELD_JSON) {
        buf_str(out, text);
    } else if (field->type == FIELD_BOOL) {
        buf_str(out, str_bool(&flag, text) && flag ? STR("true") : STR("false"));
    } else if (field->type == FIELD_STRS) {
        buf_char(out, '[');
        while (rest.len && str_split(&part, &rest, ',')) {
            buf_json_comma(out);
            buf_json_str(out, str_trim(part));
        }
        buf_char(out, ']');
    } else {
        buf_json_str(out, text);
    }
}

void schema_field(struct buf *out, const struct field *field, enum schema_of of)
{
    type_schema(out, field, of);
    if (field->doc)
        member(out, "description", field->doc);
    if (field->deprecated)
        member_true(out, "deprecated");
    if (of == SCHEMA_REPLY)
        return;
    if (field->clamp)
        member_true(out, "x-aragora-clamp");
    if (field->fallback) {
        buf_json_key(out, STR("default"));
        schema_value(out, field, str_from(field->fallback));
    }
    if (field->example) {
        buf_json_key(out, STR("examples"));
        buf_char(out, '[');
        schema_value(out, field, str_from(field->example));
        buf_char(out, ']');
    }
}

void schema_alias(struct buf *out, const struct field *field, enum schema_of of)
{
    struct field other = *field;

    other.deprecated = true;
    other.required = false;
    schema_field(out, &other, of);
    member(out, "x-aragora-alias-of", field->name);
}

/* Of a reply: what is always there. */
static bool is_required(const struct field *field, enum schema_of of)
{
    if (of != SCHEMA_REPLY)
        return field->required;
    return field->absent != ABSENT_OMITTED || field->type == FIELD_BOOL ||
           field->type == FIELD_ENUM || field->type == FIELD_OBJECT;
}

static bool belongs(const struct route *route, const struct field *field)
{
    return !route || input_source(route, field) == FROM_BODY;
}

static void property(struct buf *out, const struct field *field, enum schema_of of)
{
    open_object(out, field->name);
    schema_field(out, field, of);
    buf_char(out, '}');
    if (of != SCHEMA_REPLY && field->alias) {
        open_object(out, field->alias);
        schema_alias(out, field, of);
        buf_char(out, '}');
    }
}

void schema_object(struct buf *out, const struct field *fields, enum schema_of of,
                   const struct route *route)
{
    size_t count = 0;

    member(out, "type", "object");
    open_object(out, "properties");
    for (const struct field *field = fields; field->name; field++)
        if (belongs(route, field))
            property(out, field, of);
    buf_char(out, '}');
    for (const struct field *field = fields; field->name; field++) {
        if (!belongs(route, field) || !is_required(field, of))
            continue;
        if (count++ == 0)
            buf_str(out, STR(",\"required\":["));
        buf_json_comma(out);
        buf_json_str(out, str_from(field->name));
    }
    if (count)
        buf_char(out, ']');
}
