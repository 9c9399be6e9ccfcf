#include "fcgi/openapi.h"

#include "common/base/error.h"

#include <stdlib.h>

static void member(struct buf *out, const char *key, const char *text)
{
    buf_json_key(out, str_from(key));
    buf_json_str(out, str_from(text));
}

static void open_object(struct buf *out, const char *key)
{
    buf_json_key(out, str_from(key));
    buf_char(out, '{');
}

static void whole(struct buf *out, const char *key, int64_t value)
{
    buf_json_key(out, str_from(key));
    buf_json_int(out, value);
}

static void object_schema(struct buf *out, const struct field *fields, bool input);

static void text_schema(struct buf *out, const struct field *field, bool input)
{
    member(out, "type", "string");
    if (field->choices && field->choices[0]) {
        buf_json_key(out, STR("enum"));
        buf_char(out, '[');
        for (const char *const *word = field->choices; *word; word++) {
            buf_json_comma(out);
            buf_json_str(out, str_from(*word));
        }
        buf_char(out, ']');
    }
    if (input && field->pattern != PATTERN_NONE)
        member(out, "pattern", field_pattern_text(field->pattern));
    if (input && field->min)
        whole(out, "minLength", field->min);
    if (input && field->max)
        whole(out, "maxLength", field->max);
}

static void number_schema(struct buf *out, const struct field *field, bool input)
{
    bool integer = field->type == FIELD_INT;

    member(out, "type", integer ? "integer" : "number");
    if (!input || field->clamp) /* a clamped value is never refused */
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

static void list_schema(struct buf *out, const struct field *field, bool input)
{
    member(out, "type", "array");
    open_object(out, "items");
    if (field->type == FIELD_STRUCTS)
        object_schema(out, field->fields, input);
    else if (field->type == FIELD_STRS)
        member(out, "type", "string");
    buf_char(out, '}');
    if (input && field->max)
        whole(out, "maxItems", field->max);
}

static void field_schema(struct buf *out, const struct field *field, bool input)
{
    switch (field->type) {
    case FIELD_STR:
    case FIELD_ENUM:
        text_schema(out, field, input);
        break;
    case FIELD_INT:
    case FIELD_DOUBLE:
        number_schema(out, field, input);
        break;
    case FIELD_BOOL:
        member(out, "type", "boolean");
        break;
    case FIELD_UTC:
        member(out, "type", field->form == FORM_EPOCH ? "number" : "string");
        if (field->form != FORM_EPOCH)
            member(out, "format", "date-time");
        break;
    case FIELD_STRS:
    case FIELD_STRUCTS:
        list_schema(out, field, input);
        break;
    case FIELD_JSON:
        if (field->kind == JSON_ARRAY)
            list_schema(out, field, input);
        else if (field->kind == JSON_OBJECT)
            member(out, "type", "object");
        break;
    case FIELD_OBJECT:
        object_schema(out, field->fields, input);
        break;
    case FIELD_BYTES:
        break;
    }
    if (field->doc)
        member(out, "description", field->doc);
    if (input && field->fallback) {
        bool text = field->type == FIELD_STR || field->type == FIELD_ENUM;

        buf_json_key(out, STR("default"));
        if (text)
            buf_json_str(out, str_from(field->fallback));
        else
            buf_str(out, str_from(field->fallback));
    }
}

static void required_list(struct buf *out, const struct field *fields)
{
    size_t count = 0;

    for (const struct field *field = fields; field->name; field++) {
        if (!field->required)
            continue;
        if (count++ == 0) {
            buf_json_key(out, STR("required"));
            buf_char(out, '[');
        }
        buf_json_comma(out);
        buf_json_str(out, str_from(field->name));
    }
    if (count)
        buf_char(out, ']');
}

static void object_schema(struct buf *out, const struct field *fields, bool input)
{
    member(out, "type", "object");
    open_object(out, "properties");
    for (const struct field *field = fields; field->name; field++) {
        open_object(out, field->name);
        field_schema(out, field, input);
        buf_char(out, '}');
    }
    buf_char(out, '}');
    if (input)
        required_list(out, fields);
}

static bool has_brace(const struct route *route, const struct field *field)
{
    char brace[80];
    size_t at;

    snprintf(brace, sizeof(brace), "{%s}", field->name);
    return str_find(&at, str_from(route->path), str_from(brace));
}

static bool by_query(const struct route *route)
{
    return route->method == METHOD_GET || route->method == METHOD_DELETE;
}

static void parameters(struct buf *out, const struct route *route)
{
    buf_json_key(out, STR("parameters"));
    buf_char(out, '[');
    for (const struct field *field = route->input; field && field->name; field++) {
        bool path = has_brace(route, field);

        if (!path && !by_query(route) && field->from != FROM_QUERY)
            continue;
        buf_json_comma(out);
        buf_char(out, '{');
        member(out, "name", field->name);
        member(out, "in", path ? "path" : "query");
        buf_json_key(out, STR("required"));
        buf_str(out, path || field->required ? STR("true") : STR("false"));
        open_object(out, "schema");
        field_schema(out, field, true);
        buf_str(out, STR("}}"));
    }
    buf_char(out, ']');
}

static void request_body(struct buf *out, const struct route *route)
{
    size_t members = 0;

    if (by_query(route) || !route->input)
        return;
    open_object(out, "requestBody");
    buf_json_key(out, STR("required"));
    buf_str(out, route->body_optional ? STR("false") : STR("true"));
    buf_str(out, STR(",\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
                     "\"properties\":{"));
    for (const struct field *field = route->input; field->name; field++) {
        if (has_brace(route, field))
            continue;
        open_object(out, field->name);
        field_schema(out, field, true);
        buf_char(out, '}');
        members += field->required;
    }
    buf_char(out, '}');
    if (members)
        required_list(out, route->input);
    buf_str(out, STR("}}}}"));
}

static void error_response(struct buf *out, int status, const char *description)
{
    char key[16];

    snprintf(key, sizeof(key), "%d", status);
    open_object(out, key);
    member(out, "description", description);
    buf_str(out, STR(",\"content\":{\"application/json\":{\"schema\":"
                     "{\"$ref\":\"#/components/schemas/Error\"}}}}"));
}

/* The statuses that this row can end in, each once, lowest first. */
static void error_responses(struct buf *out, const struct route *route)
{
    static const enum result always[] = { ERR_VALIDATION, ERR_RATE_LIMITED, ERR_INTERNAL,
                                          ERR_UNAVAILABLE, ERR_TIMEOUT };
    const char *texts[600] = { NULL };

    for (size_t i = 0; i < COUNT(always); i++)
        texts[error_row(always[i])->status] = error_row(always[i])->message;
    if (!route->public)
        texts[401] = error_row(ERR_AUTH_REQUIRED)->message;
    if (route->permission)
        texts[403] = error_row(ERR_FORBIDDEN)->message;
    if (!by_query(route)) {
        texts[413] = error_row(ERR_BODY_TOO_LARGE)->message;
        texts[415] = error_row(ERR_MEDIA_TYPE)->message;
    }
    for (const enum result *error = route->errors; error && *error != OK; error++)
        texts[error_row(*error)->status] = error_row(*error)->message;
    for (int status = 400; status < (int)COUNT(texts); status++)
        if (texts[status])
            error_response(out, status, texts[status]);
}

static void responses(struct buf *out, const struct route *route)
{
    open_object(out, "responses");
    buf_str(out, STR("\"200\":{\"description\":\"OK\",\"content\":{"));
    buf_json_str(out, str_from(route->reply || !route->reply_type ? "application/json"
                                                                  : route->reply_type));
    buf_str(out, STR(":{\"schema\":{"));
    if (route->reply)
        object_schema(out, route->reply, false);
    buf_str(out, STR("}}}}"));
    error_responses(out, route);
    buf_char(out, '}');
}

static void operation(struct buf *out, const struct route *route)
{
    static const char *const methods[METHOD_COUNT] = { "get", "post", "put", "patch", "delete" };

    open_object(out, methods[route->method]);
    member(out, "operationId", route->id);
    if (route->doc)
        member(out, "summary", route->doc);
    if (route->tag) {
        buf_str(out, STR(",\"tags\":["));
        buf_json_str(out, str_from(route->tag));
        buf_char(out, ']');
    }
    member(out, "x-aragora-stability", route->stability == STABLE ? "stable" : "experimental");
    if (route->permission)
        member(out, "x-aragora-permission", route->permission);
    buf_str(out, route->public ? STR(",\"security\":[]") : STR(",\"security\":[{\"bearer\":[]}]"));
    buf_char(out, ',');
    parameters(out, route);
    request_body(out, route);
    responses(out, route);
    buf_char(out, '}');
}

static bool is_first_of_path(const struct route *const *tables, const struct route *wanted)
{
    for (; *tables; tables++)
        for (const struct route *route = *tables; route->path; route++)
            if (strcmp(route->path, wanted->path) == 0)
                return route == wanted;
    return false;
}

static void path_item(struct buf *out, const struct route *const *tables, const char *path)
{
    open_object(out, path);
    for (; *tables; tables++)
        for (const struct route *route = *tables; route->path; route++)
            if (strcmp(route->path, path) == 0)
                operation(out, route);
    buf_char(out, '}');
}

void openapi_write_tables(struct buf *out, const struct route *const *tables)
{
    buf_str(out, STR("{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Aragora API\",\"version\":"
                     "\"2.0.0\",\"license\":{\"name\":\"MIT\",\"identifier\":\"MIT\"}},"
                     "\"servers\":[{\"url\":\"/\"}],\"paths\":{"));
    for (const struct route *const *table = tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            if (is_first_of_path(tables, route))
                path_item(out, tables, route->path);
    buf_str(out, STR("},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\","
                     "\"scheme\":\"bearer\"}},\"schemas\":{\"Error\":{\"type\":\"object\","
                     "\"required\":[\"error\",\"code\",\"message\"],\"properties\":{"
                     "\"error\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},"
                     "\"message\":{\"type\":\"string\"},\"field\":{\"type\":\"string\"},"
                     "\"details\":{},\"suggestion\":{\"type\":\"string\"},"
                     "\"trace_id\":{\"type\":\"string\"},"
                     "\"retry_after\":{\"type\":\"integer\"}}}}}}"));
}

void openapi_write(struct buf *out)
{
    openapi_write_tables(out, route_tables);
}
