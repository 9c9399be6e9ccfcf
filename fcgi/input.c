/* input.c - every value from outside passes here before a handler sees it.
 *
 * Where a field is read from: a name in the path's braces from the path; else GET and DELETE
 * read the query, the others the JSON body; .from overrides (http.md 3, 4). */
#include "fcgi/input.h"

#include "common/base/crypto.h"
#include "common/base/log.h"
#include "common/base/settings.h"

#define QUERY_TEXT_MAX 500 /* characters, of a field that has no limit of its own (http.md 3) */

static enum result refuse_field(struct request *r, const struct field_fault *fault)
{
    return refuse(r, fault->result, .field = fault->field, .message = fault->message);
}

/* Its place among the braces of the row's path. */
static bool in_path(size_t *out, const struct route *route, const char *name)
{
    struct str rest = str_from(route->path), segment;
    size_t place = 0;

    while (str_split(&segment, &rest, '/')) {
        if (segment.len < 2 || segment.at[0] != '{')
            continue;
        segment = str_slice(segment, 1, segment.len - 1);
        if (str_ends(segment, STR("*")))
            segment = str_slice(segment, 0, segment.len - 1);
        if (str_is(segment, name)) {
            *out = place;
            return true;
        }
        place++;
    }
    return false;
}

enum field_from input_source(const struct route *route, const struct field *field)
{
    size_t place;

    if (field->from != FROM_DEFAULT)
        return field->from;
    if (in_path(&place, route, field->name))
        return FROM_PATH;
    return route->method == METHOD_GET || route->method == METHOD_DELETE ? FROM_QUERY : FROM_BODY;
}

static enum result read_path(struct request *r)
{
    const struct field *fields = r->route->input;
    struct field_fault fault;

    for (size_t i = 0; fields[i].name; i++) {
        size_t place;

        if (input_source(r->route, &fields[i]) != FROM_PATH ||
            !in_path(&place, r->route, fields[i].name))
            continue;
        if (!field_matches(fields[i].pattern, r->params[place]))
            return refuse(r, ERR_INVALID_PATH, .field = str_from(fields[i].name),
                          .message =
                              arena_printf(r->arena, "Invalid %s: must match pattern %s",
                                           fields[i].name, field_pattern_text(fields[i].pattern)));
        if (field_from_text(r->input, &fields[i], r->arena, r->params[place], &fault) != OK)
            return refuse_field(r, &fault);
        r->given |= UINT64_C(1) << i;
    }
    return OK;
}

/* '+' and %XX (WHATWG URL, application/x-www-form-urlencoded). false: a broken escape. */
static bool decode(struct str *out, struct arena *arena, struct str text)
{
    char *at = arena_alloc(arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.at[i];

        if (byte == '%') {
            if (!hex_bytes(&byte, 1, str_slice(text, i + 1, i + 3)))
                return false;
            i += 2;
        } else if (byte == '+') {
            byte = ' ';
        }
        at[len++] = (char)byte;
    }
    *out = (struct str){ at, len };
    return str_is_text(*out);
}

static bool names(const struct field *field, struct str name)
{
    return str_is(name, field->name) || (field->alias && str_is(name, field->alias));
}

static bool refuses_form(void)
{
    struct str mode = setting_str(SETTING_VALIDATION_MODE);

    return mode.at ? str_is(mode, "blocking") : setting_flag(SETTING_VALIDATION_BLOCKING);
}

/* fault: a literal. */
static void tell_form(struct request *r, struct str fault, struct str value)
{
    if (str_is(setting_str(SETTING_VALIDATION_MODE), "disabled"))
        return;
    log_event(LOG_WARNING, "lenient validation", "fault", log_str(fault), "value", log_str(value));
    reply_header(r, "Warning", arena_printf(r->arena, "299 - \"" STR_FMT "\"", STR_ARG(fault)));
}

static enum result unknown_query(struct request *r, struct str name)
{
    if (r->route->method != METHOD_GET)
        return OK;
    if (refuses_form())
        return refuse(r, ERR_INVALID_QUERY, .field = str_cut(name, 64),
                      .message = arena_printf(r->arena, "Unknown query parameter: " STR_FMT,
                                              STR_ARG(str_cut(name, 64))));
    tell_form(r, STR("Unknown query parameter"), str_cut(name, 64));
    return OK;
}

static enum result refuse_long(struct request *r, const struct field *field)
{
    return refuse(r, ERR_INVALID_QUERY, .field = str_from(field->name),
                  .message = arena_printf(r->arena, "Parameter %s exceeds max length (%d)",
                                          field->name, QUERY_TEXT_MAX));
}

static enum result read_parameter(struct request *r, struct str name, struct str value)
{
    const struct field *fields = r->route->input;
    struct field_fault fault;

    for (size_t i = 0; fields && fields[i].name; i++) {
        if (input_source(r->route, &fields[i]) != FROM_QUERY || !names(&fields[i], name))
            continue;
        if (r->given >> i & 1) /* the first value wins */
            return OK;
        if (fields[i].type == FIELD_STR && !fields[i].max && str_characters(value) > QUERY_TEXT_MAX)
            return refuse_long(r, &fields[i]);
        if (field_from_text(r->input, &fields[i], r->arena, value, &fault) != OK)
            return refuse_field(r, &fault);
        r->given |= UINT64_C(1) << i;
        return OK;
    }
    return unknown_query(r, name);
}

static enum result read_query(struct request *r)
{
    struct str rest = r->route->raw_query ? STR_NONE : r->query, pair, name, value;

    while (rest.len && str_split(&pair, &rest, '&')) {
        if (pair.len == 0)
            continue;
        value = pair;
        (void)str_split(&name, &value, '=');
        if (!decode(&name, r->arena, name))
            return refuse(r, ERR_INVALID_QUERY, .field = STR("query"),
                          .message = STR("Invalid query parameter name"));
        if (!decode(&value, r->arena, value.at ? value : STR("")))
            return refuse(r, ERR_INVALID_QUERY, .field = str_cut(name, 64),
                          .message = arena_printf(r->arena, "Invalid value for " STR_FMT,
                                                  STR_ARG(str_cut(name, 64))));
        /* A name with an empty value counts as absent. */
        if (value.len == 0)
            continue;
        TRY(read_parameter(r, name, value));
    }
    return OK;
}

static enum result read_headers(struct request *r)
{
    const struct field *fields = r->route->input;
    struct field_fault fault;

    for (size_t i = 0; fields && fields[i].name; i++) {
        struct str value = input_source(r->route, &fields[i]) == FROM_HEADER
                               ? header(r, fields[i].name)
                               : STR_NONE;

        if (!value.len)
            continue;
        if (field_from_text(r->input, &fields[i], r->arena, value, &fault) != OK)
            return refuse_field(r, &fault);
        r->given |= UINT64_C(1) << i;
    }
    return OK;
}

static enum result check_type(struct request *r)
{
    struct str rest = header(r, "content-type"), type;

    if (!rest.len)
        return refuse(r, ERR_MEDIA_TYPE, .field = STR("Content-Type"),
                      .message = STR("Content-Type header required for POST with body"));
    (void)str_split(&type, &rest, ';');
    type = str_trim(type);
    if (str_eq_nocase(type, STR("application/json")) || str_eq_nocase(type, STR("text/json")))
        return OK;
    return refuse(r, ERR_MEDIA_TYPE, .field = STR("Content-Type"),
                  .message = str_is_text(type) ? arena_printf(r->arena,
                                                              "Unsupported Content-Type: " STR_FMT
                                                              ". Expected application/json",
                                                              STR_ARG(str_cut(type, 100)))
                                               : STR("Unsupported Content-Type"));
}

static enum result parse_body(struct json_object **out, struct request *r)
{
    const struct json_limits limits = { .depth = setting_int(SETTING_JSON_DEPTH),
                                        .array_items = setting_int(SETTING_JSON_ARRAY),
                                        .object_keys = setting_int(SETTING_JSON_KEYS) };
    struct json_fault fault = { .message = STR_NONE };
    enum result result = json_parse(out, r->arena, r->body, &limits, &fault);

    if (result == ERR_INVALID_STRUCTURE && !refuses_form()) {
        tell_form(r, STR("JSON structure over a limit"), fault.message);
        result = json_parse(out, r->arena, r->body, &json_limits_wide, &fault);
    }
    if (result != OK)
        return refuse(r, result, .field = STR("body"), .message = fault.message);
    if (!json_object_is_type(*out, json_type_object))
        return refuse(r, ERR_INVALID_BODY_TYPE, .field = STR("body"));
    return OK;
}

static enum result read_member(struct request *r, size_t i, struct json_object *body,
                               const char *name)
{
    struct json_object *value;
    struct field_fault fault = { .result = OK };

    if (!name || !json_get(&value, body, name))
        return OK;
    if (field_from_json(r->input, &r->route->input[i], r->arena, value, &fault) != OK)
        return refuse_field(r, &fault);
    r->given |= UINT64_C(1) << i;
    return OK;
}

/* Of two names both must be good; the first one's value is taken. */
static enum result read_members(struct request *r, struct json_object *body)
{
    const struct field *fields = r->route->input;

    for (size_t i = 0; fields && fields[i].name; i++) {
        if (input_source(r->route, &fields[i]) != FROM_BODY)
            continue;
        TRY(read_member(r, i, body, fields[i].alias));
        TRY(read_member(r, i, body, fields[i].name));
    }
    return OK;
}

bool input_body_optional(const struct route *route)
{
    for (const struct field *field = route->input; field && field->name; field++)
        if (field->required && input_source(route, field) == FROM_BODY)
            return route->body_optional;
    return true;
}

bool input_wants_body(const struct route *route)
{
    return route->method != METHOD_GET && route->method != METHOD_DELETE;
}

static enum result read_body(struct request *r)
{
    struct json_object *body;

    if (r->body.len == 0)
        return input_body_optional(r->route) ? OK : refuse(r, ERR_EMPTY_BODY, .field = STR("body"));
    TRY(check_type(r));
    TRY(parse_body(&body, r));
    return read_members(r, body);
}

static enum result check_required(struct request *r)
{
    const struct field *fields = r->route->input;

    for (size_t i = 0; fields && fields[i].name; i++)
        if (fields[i].required && !(r->given >> i & 1))
            return refuse(r, ERR_MISSING_FIELD, .field = str_from(fields[i].name),
                          .message =
                              arena_printf(r->arena, "Missing required field: %s", fields[i].name));
    return OK;
}

enum result input_read(struct request *r)
{
    const struct route *route = r->route;

    r->given = 0;
    if (route->input) {
        r->input = arena_alloc(r->arena, route->input_size);
        fields_default(r->input, route->input, r->arena);
        TRY(read_path(r));
    }
    TRY(read_query(r));
    TRY(read_headers(r));
    if (input_wants_body(route))
        TRY(read_body(r));
    return check_required(r);
}
