/* openapi_postman.c - the routes' rows as a Postman collection (schema 2.1.0).
 *
 * A folder per tag; a row's optional parameters are there, switched off. baseUrl and apiKey are
 * variables of the collection: nothing else has to be edited before the first request. */
#include "common/base/settings.h"
#include "fcgi/openapi_part.h"

#define SCHEMA_URL "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"

/* A value to begin with, as a query writes it; "": the sender has to know. */
static struct str sample(const struct field *field)
{
    if (field->example)
        return str_from(field->example);
    if (field->choices && field->choices[0])
        return str_from(field->choices[0]);
    return field->fallback ? str_from(field->fallback) : STR("");
}

/* Not closed, so that more members can follow. */
static void open_pair(struct buf *out, struct str name, const struct field *field)
{
    buf_json_comma(out);
    buf_str(out, STR("{\"key\":"));
    buf_json_str(out, name);
    buf_json_key(out, STR("value"));
    buf_json_str(out, field ? sample(field) : STR(""));
    if (field && field->doc)
        member(out, "description", field->doc);
}

static void pairs(struct buf *out, const char *key, const struct route *route, enum field_from from)
{
    buf_printf(out, ",\"%s\":[", key);
    for (const struct field *field = route->input; field && field->name; field++) {
        if (input_source(route, field) != from)
            continue;
        open_pair(out, str_from(field->name), field);
        if (!field->required)
            member_true(out, "disabled");
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

/* "{id}" and "{path*}" are ":id" and ":path". */
static void path_segments(struct buf *out, const struct route *route)
{
    struct str rest = str_from(route->path), segment, name;
    CLEANUP(buf_free) struct buf text = { 0 };

    buf_str(out, STR(",\"path\":["));
    while (str_split(&segment, &rest, '/')) {
        if (!segment.len)
            continue;
        buf_clear(&text);
        if (path_brace(&name, &(struct str){ segment.at, segment.len }))
            buf_printf(&text, ":" STR_FMT, STR_ARG(name));
        else
            buf_str(&text, segment);
        buf_json_comma(out);
        buf_json_str(out, buf_view(&text));
    }
    buf_char(out, ']');
}

static void path_variables(struct buf *out, const struct route *route)
{
    struct str rest = str_from(route->path), name;

    buf_str(out, STR(",\"variable\":["));
    while (path_brace(&name, &rest)) {
        open_pair(out, name, path_field(route, name));
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

/* What the address bar shows: without the parameters that are switched off. */
static void raw_url(struct buf *out, const struct route *route)
{
    struct str rest = str_from(route->path), segment, name;
    CLEANUP(buf_free) struct buf text = { 0 };
    char before = '?';

    buf_str(&text, STR("{{baseUrl}}"));
    while (str_split(&segment, &rest, '/')) {
        if (!segment.len)
            continue;
        if (path_brace(&name, &(struct str){ segment.at, segment.len }))
            buf_printf(&text, "/:" STR_FMT, STR_ARG(name));
        else
            buf_printf(&text, "/" STR_FMT, STR_ARG(segment));
    }
    for (const struct field *field = route->input; field && field->name; field++) {
        if (!field->required || input_source(route, field) != FROM_QUERY)
            continue;
        buf_printf(&text, "%c%s=" STR_FMT, before, field->name, STR_ARG(sample(field)));
        before = '&';
    }
    buf_json_key(out, STR("raw"));
    buf_json_str(out, buf_view(&text));
}

static void url(struct buf *out, const struct route *route)
{
    open_object(out, "url");
    raw_url(out, route);
    buf_str(out, STR(",\"host\":[\"{{baseUrl}}\"]"));
    path_segments(out, route);
    pairs(out, "query", route, FROM_QUERY);
    path_variables(out, route);
    buf_char(out, '}');
}

/* Members that are required or have an example; the others are told by the document. */
static void body(struct buf *out, const struct route *route)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    if (!input_wants_body(route))
        return;
    buf_char(&text, '{');
    for (const struct field *field = route->input; field && field->name; field++) {
        if (input_source(route, field) != FROM_BODY || (!field->required && !field->example))
            continue;
        buf_json_key(&text, str_from(field->name));
        if (sample(field).len)
            schema_value(&text, field, sample(field));
        else
            buf_str(&text, STR("null"));
    }
    buf_char(&text, '}');
    buf_str(out, STR(",\"body\":{\"mode\":\"raw\",\"raw\":"));
    buf_json_str(out, buf_view(&text));
    buf_str(out, STR(",\"options\":{\"raw\":{\"language\":\"json\"}}}"));
}

static void request(struct buf *out, const struct route *route)
{
    buf_json_comma(out);
    buf_char(out, '{');
    member(out, "name", route->doc ? route->doc : route->path);
    open_object(out, "request");
    member(out, "method", method_names[route->method]);
    if (route->public)
        buf_str(out, STR(",\"auth\":{\"type\":\"noauth\"}"));
    pairs(out, "header", route, FROM_HEADER);
    body(out, route);
    url(out, route);
    buf_str(out, STR("},\"response\":[]}"));
}

static struct str tag_of(const struct route *route)
{
    return route->tag ? str_from(route->tag) : STR("Other");
}

static bool opens_folder(const struct route *wanted)
{
    for (const struct route *const *table = route_tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            if (str_eq(tag_of(route), tag_of(wanted)))
                return route == wanted;
    return false;
}

static void folder(struct buf *out, struct str tag)
{
    buf_json_comma(out);
    buf_str(out, STR("{\"name\":"));
    buf_json_str(out, tag);
    buf_str(out, STR(",\"item\":["));
    for (const struct route *const *table = route_tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            if (str_eq(tag_of(route), tag))
                request(out, route);
    buf_str(out, STR("]}"));
}

void openapi_write_postman(struct buf *out)
{
    struct str address = setting_str(SETTING_PUBLIC_URL);

    while (str_ends(address, STR("/")))
        address.len--;
    buf_str(out, STR("{\"info\":{\"name\":\"Aragora API\",\"schema\":\"" SCHEMA_URL "\"},"
                     "\"auth\":{\"type\":\"bearer\",\"bearer\":[{\"key\":\"token\","
                     "\"value\":\"{{apiKey}}\",\"type\":\"string\"}]},"
                     "\"variable\":[{\"key\":\"apiKey\",\"value\":\"\"},"
                     "{\"key\":\"baseUrl\",\"value\":"));
    buf_json_str(out, address.len ? address : STR("http://127.0.0.1:8080"));
    buf_str(out, STR("}],\"item\":["));
    for (const struct route *const *table = route_tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            if (opens_folder(route))
                folder(out, tag_of(route));
    buf_str(out, STR("]}"));
}
