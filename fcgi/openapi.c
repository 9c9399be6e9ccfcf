/* openapi.c - the routes' own rows as an OpenAPI 3.1 document (JSON Schema 2020-12).
 *
 * Only the canonical path of a row is told; aliases and other versions are the same operation.
 * Where a field is read from comes from input.c, so document and checks cannot differ.
 *
 * What OpenAPI has no word for: x-aragora-aliases, other paths of the operation;
 * x-aragora-alias-of, the member's first name, which refusals tell; x-aragora-clamp, a value out
 * of bounds or unreadable is mended, not refused; x-aragora-max-body-bytes, where the row has a
 * limit of its own. */
#include "fcgi/openapi.h"

#include "common/base/error.h"
#include "common/base/settings.h"
#include "common/base/version.h"
#include "fcgi/input.h"
#include "fcgi/openapi_part.h"
#include "fcgi/pipeline.h"
#include "fcgi/response.h"

#define API_V2_VERSION "2.0.0"
#define JSON_TYPE      "application/json"
#define ERROR_STATUSES 600 /* one more than the highest */

static void parameter(struct buf *out, struct str name, const char *in, bool required,
                      const struct field *field)
{
    buf_json_comma(out);
    buf_str(out, STR("{\"name\":"));
    buf_json_str(out, name);
    member(out, "in", in);
    if (required)
        member_true(out, "required");
    else if (strcmp(in, "query") == 0) /* counts as absent */
        member_true(out, "allowEmptyValue");
    if (field && (field->deprecated || !str_is(name, field->name)))
        member_true(out, "deprecated");
    if (field && field->type == FIELD_STRS && strcmp(in, "query") == 0) /* a,b and not twice */
        buf_str(out, STR(",\"style\":\"form\",\"explode\":false"));
    open_object(out, "schema");
    if (!field)
        member(out, "type", "string");
    else if (field->alias && str_is(name, field->alias))
        schema_alias(out, field, SCHEMA_TEXT);
    else
        schema_field(out, field, SCHEMA_TEXT);
    buf_str(out, STR("}}"));
}

bool path_brace(struct str *name, struct str *rest)
{
    while (str_split(name, rest, '/')) {
        if (!str_starts(*name, STR("{")))
            continue;
        *name = str_slice(*name, 1, name->len - (str_ends(*name, STR("*}")) ? 2 : 1));
        return true;
    }
    return false;
}

const struct field *path_field(const struct route *route, struct str name)
{
    for (const struct field *field = route->input; field && field->name; field++)
        if (str_is(name, field->name))
            return field;
    return NULL;
}

/* Every name in braces has to be told, even one that no field takes. */
static void path_parameters(struct buf *out, const struct route *route)
{
    struct str rest = str_from(route->path), name;

    while (path_brace(&name, &rest))
        parameter(out, name, "path", true, path_field(route, name));
}

/* Of every row that creates. */
static void idempotency_parameter(struct buf *out)
{
    buf_json_comma(out);
    buf_str(out, STR("{\"name\":\"Idempotency-Key\",\"in\":\"header\""));
    member(out, "description",
           "Names this request: sent again within 24 hours, it is answered as the first time, with"
           " Idempotent-Replay: true, and creates nothing");
    open_object(out, "schema");
    member(out, "type", "string");
    member(out, "pattern", IDEMPOTENCY_KEY_PATTERN);
    buf_str(out, STR("}}"));
}

static void parameters(struct buf *out, const struct route *route)
{
    buf_str(out, STR(",\"parameters\":["));
    path_parameters(out, route);
    for (const struct field *field = route->input; field && field->name; field++) {
        enum field_from from = input_source(route, field);

        if (from != FROM_QUERY && from != FROM_HEADER)
            continue;
        parameter(out, str_from(field->name), from == FROM_QUERY ? "query" : "header",
                  field->required, field);
        if (from == FROM_QUERY && field->alias)
            parameter(out, str_from(field->alias), "query", false, field);
    }
    if (route_creates(route))
        idempotency_parameter(out);
    buf_char(out, ']');
}

static bool has_body(const struct route *route)
{
    for (const struct field *field = route->input; field && field->name; field++)
        if (input_source(route, field) == FROM_BODY)
            return true;
    return false;
}

static void request_body(struct buf *out, const struct route *route)
{
    if (!has_body(route))
        return;
    open_object(out, "requestBody");
    if (!input_body_optional(route))
        member_true(out, "required");
    buf_json_key(out, STR("content"));
    buf_str(out, STR("{\"application/json\":{\"schema\":{"));
    schema_object(out, route->input, SCHEMA_BODY, route);
    buf_str(out, STR("}}}}"));
}

static void open_response(struct buf *out, int status, const char *description)
{
    char key[INT_TEXT];

    (void)int_text(key, status);
    open_object(out, key);
    member(out, "description", description);
}

static void error_response(struct buf *out, int status, const char *description)
{
    open_response(out, status, description);
    if (status == 401 || status == 429 || status == 503) {
        const char *name = status == 401 ? "WWW-Authenticate" : "Retry-After";

        open_object(out, "headers");
        open_object(out, name);
        buf_printf(out, "\"$ref\":\"#/components/headers/%s\"}}", name);
    }
    buf_str(out, STR(",\"content\":{\"application/json\":{\"schema\":"
                     "{\"$ref\":\"#/components/schemas/Error\"}}}}"));
}

struct statuses {
    int version; /* that the canonical path asks for (http.md 2.2) */
    const char *texts[ERROR_STATUSES];
};

static void name_status(struct statuses *out, enum result result)
{
    int status = error_status(result, out->version);

    if (status >= 400 && status < ERROR_STATUSES && !out->texts[status])
        out->texts[status] = error_row(result)->message;
}

static int version_of(struct str path)
{
    return str_starts(path, STR("/api/")) && !str_starts(path, STR("/api/v2/")) ? 1 : 2;
}

/* The statuses that this row can end in, each once, lowest first; the row's own words first. */
static void error_responses(struct buf *out, const struct route *route)
{
    static const enum result always[] = { ERR_BAD_REQUEST, ERR_INTERNAL, ERR_UNAVAILABLE,
                                          ERR_TIMEOUT };
    bool probe = route->public && route->limit == LIMIT_NONE; /* no credential is looked at */
    struct str rest = str_from(route->path), name;
    struct statuses statuses = { .version = version_of(rest) };

    for (const enum result *error = route->errors; error && *error != OK; error++)
        name_status(&statuses, *error);
    for (size_t i = 0; i < COUNT(always); i++)
        name_status(&statuses, always[i]);
    if (!probe) /* a credential that is sent must be good, needed or not */
        name_status(&statuses, route->public ? ERR_AUTH_INVALID : ERR_AUTH_REQUIRED);
    if (route->permission)
        name_status(&statuses, ERR_FORBIDDEN);
    if (path_brace(&name, &rest))
        name_status(&statuses, ERR_NOT_FOUND);
    if (route->method != METHOD_GET)
        name_status(&statuses, ERR_BODY_TOO_LARGE);
    if (input_wants_body(route)) /* a body that no member is taken from is checked as well */
        name_status(&statuses, ERR_MEDIA_TYPE);
    if (route->input)
        name_status(&statuses, ERR_VALIDATION);
    if (route->limit != LIMIT_NONE)
        name_status(&statuses, ERR_RATE_LIMITED);
    if (route_creates(route)) {
        name_status(&statuses, ERR_IDEMPOTENCY_BUSY);
        name_status(&statuses, ERR_IDEMPOTENCY_REUSED);
    }
    for (int status = 400; status < ERROR_STATUSES; status++)
        if (statuses.texts[status] && status != route->unready_status)
            error_response(out, status, statuses.texts[status]);
}

static const char *status_text(int status)
{
    return status == 201   ? "Created"
           : status == 202 ? "Accepted"
           : status == 204 ? "No Content"
           : status < 300  ? "OK"
                           : "Not ready; the same reply says why";
}

/* What an answer of this type holds; no table describes it. */
static void untold_schema(struct buf *out, struct str media_type)
{
    bool tree = str_is(media_type, JSON_TYPE) || str_is(media_type, "application/yaml");

    member(out, "type", tree ? "object" : "string");
}

static void reply_content(struct buf *out, const struct route *route)
{
    struct str rest = str_from(route->reply || !route->reply_type ? JSON_TYPE : route->reply_type);
    struct str media_type;

    open_object(out, "content");
    while (str_split(&media_type, &rest, ',')) {
        media_type = str_trim(media_type);
        buf_json_key(out, media_type);
        buf_str(out, STR("{\"schema\":{"));
        if (route->reply)
            schema_object(out, route->reply, SCHEMA_REPLY, NULL);
        else
            untold_schema(out, media_type);
        buf_str(out, STR("}}"));
    }
    buf_char(out, '}');
}

static void reply_response(struct buf *out, const struct route *route, int status)
{
    open_response(out, status, status_text(status));
    if (status != 204)
        reply_content(out, route);
    buf_char(out, '}');
}

static void responses(struct buf *out, const struct route *route)
{
    open_object(out, "responses");
    reply_response(out, route, success_status(route));
    if (route->unready_status)
        reply_response(out, route, route->unready_status);
    error_responses(out, route);
    buf_char(out, '}');
}

/* A handler may serve several rows, an operationId only one: the others get a number. */
static void operation_id(struct buf *out, const struct route *const *tables,
                         const struct route *wanted)
{
    size_t number = 1;

    for (; *tables; tables++)
        for (const struct route *route = *tables; route->path; route++) {
            if (route == wanted) {
                buf_str(out, STR("\"operationId\":\""));
                buf_str(out, str_from(wanted->id));
                if (number > 1)
                    buf_printf(out, "_%zu", number);
                buf_char(out, '"');
                return;
            }
            number += strcmp(route->id, wanted->id) == 0;
        }
}

/* "/files/{path*}" is "/files/{path}" here: OpenAPI knows no tails. */
static void path_text(struct buf *out, const char *path)
{
    const char *star = strstr(path, "*}");

    buf_printf(out, "\"%.*s%s\"", star ? (int)(star - path) : (int)strlen(path), path,
               star ? "}" : "");
}

static void aliases(struct buf *out, const struct route *route)
{
    if (!route->alias[0])
        return;
    buf_str(out, STR(",\"x-aragora-aliases\":["));
    for (size_t i = 0; i < COUNT(route->alias) && route->alias[i]; i++) {
        buf_json_comma(out);
        path_text(out, route->alias[i]);
    }
    buf_char(out, ']');
}

static void operation(struct buf *out, const struct route *const *tables, const struct route *route)
{
    static const char *const methods[METHOD_COUNT] = { "get", "post", "put", "patch", "delete" };

    open_object(out, methods[route->method]);
    operation_id(out, tables, route);
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
    aliases(out, route);
    if (route->body_bytes)
        whole(out, "x-aragora-max-body-bytes", route->body_bytes);
    buf_str(out, route->public ? STR(",\"security\":[]") : STR(",\"security\":[{\"bearer\":[]}]"));
    parameters(out, route);
    request_body(out, route);
    responses(out, route);
    buf_char(out, '}');
}

/* Of the second version only what has its own path there (domain api_v2, 2). */
static bool is_told(const struct route *route, enum openapi_part part)
{
    return part == OPENAPI_ALL || str_starts(str_from(route->path), STR("/api/v2/"));
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
    buf_json_comma(out);
    path_text(out, path);
    buf_str(out, STR(":{"));
    for (const struct route *const *table = tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            if (strcmp(route->path, path) == 0)
                operation(out, tables, route);
    buf_char(out, '}');
}

static bool is_first_of_tag(const struct route *const *tables, const struct route *wanted,
                            enum openapi_part part)
{
    for (; *tables; tables++)
        for (const struct route *route = *tables; route->path; route++)
            if (route->tag && is_told(route, part) && strcmp(route->tag, wanted->tag) == 0)
                return route == wanted;
    return false;
}

/* In the order of the rows. */
static void tags(struct buf *out, const struct route *const *tables, enum openapi_part part)
{
    buf_str(out, STR(",\"tags\":["));
    for (const struct route *const *table = tables; *table; table++)
        for (const struct route *route = *table; route->path; route++) {
            if (!route->tag || !is_first_of_tag(tables, route, part))
                continue;
            buf_json_comma(out);
            buf_str(out, STR("{\"name\":"));
            buf_json_str(out, str_from(route->tag));
            buf_char(out, '}');
        }
    buf_char(out, ']');
}

static void heading(struct buf *out, enum openapi_part part)
{
    struct str address = setting_str(SETTING_PUBLIC_URL);

    while (str_ends(address, STR("/")))
        address.len--;
    buf_str(out, STR("{\"openapi\":\"3.1.0\""));
    open_object(out, "info");
    member(out, "title", "Aragora API");
    member(out, "version", part == OPENAPI_V2 ? API_V2_VERSION : ARAGORA_VERSION);
    member(out, "description", "Multi-agent debate orchestration platform");
    buf_str(out, STR(",\"license\":{\"name\":\"MIT\",\"identifier\":\"MIT\"}}"
                     ",\"servers\":[{\"url\":"));
    buf_json_str(out, address.len ? address : STR("/"));
    buf_str(out, STR("}]"));
}

void openapi_write_tables(struct buf *out, const struct route *const *tables,
                          enum openapi_part part)
{
    heading(out, part);
    tags(out, tables, part);
    open_object(out, "paths");
    for (const struct route *const *table = tables; *table; table++)
        for (const struct route *route = *table; route->path; route++)
            if (is_told(route, part) && is_first_of_path(tables, route))
                path_item(out, tables, route->path);
    buf_str(out, STR("},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\","
                     "\"scheme\":\"bearer\"}},\"headers\":{"
                     "\"Retry-After\":{\"description\":\"Seconds to wait\","
                     "\"required\":true,\"schema\":{\"type\":\"integer\",\"minimum\":1}},"
                     "\"WWW-Authenticate\":{\"description\":\"How to sign in (RFC 6750)\","
                     "\"required\":true,\"schema\":{\"type\":\"string\"}}},"
                     "\"schemas\":{\"Error\":{\"type\":\"object\","
                     "\"required\":[\"error\",\"code\",\"message\"],\"properties\":{"
                     "\"error\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},"
                     "\"message\":{\"type\":\"string\"},\"field\":{\"type\":\"string\"},"
                     "\"details\":{},\"suggestion\":{\"type\":\"string\"},"
                     "\"trace_id\":{\"type\":\"string\"},"
                     "\"retry_after\":{\"type\":\"integer\"},"
                     "\"use_playground\":{\"type\":\"boolean\"}}}}}}"));
}

void openapi_write(struct buf *out, enum openapi_part part)
{
    openapi_write_tables(out, route_tables, part);
}
