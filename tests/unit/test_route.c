/* test_route.c - paths, the route index and the API document. */
#include "common/base/clock.h"
#include "common/base/json.h"
#include "fcgi/api_version.h"
#include "fcgi/openapi.h"
#include "fcgi/path.h"
#include "fcgi/pipeline.h"
#include "fcgi/response.h"
#include "fcgi/route_index.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static enum result answer(struct request *r)
{
    (void)r;
    return OK;
}

struct in {
    struct str id;
    int64_t limit;
    bool full;
    struct list tags;
    struct json_text agents;
};

static const struct field in_fields[] = {
    { FIELD(struct in, id), .pattern = PATTERN_ID, .required = true },
    { FIELD(struct in, limit), .min = 1, .max = 100, .fallback = "20" },
    { FIELD(struct in, full), .fallback = "no" },
    { FIELD_TEXTS(struct in, tags), .max = 3, .fallback = "a, b" },
    { 0 },
};

static const struct field rich_fields[] = {
    { FIELD(struct in, limit), .min = 1, .max = 100, .clamp = true, .alias = "top",
      .example = "7" },
    { FIELD_TEXTS(struct in, tags), .from = FROM_QUERY, .alias = "labels", .deprecated = true },
    { FIELD(struct in, agents), .required = true, .alias = "who", .example = "[\"demo\"]" },
    { FIELD(struct in, id), .required = true, .trim = true, .min = 1, .max = 9 },
    { 0 },
};

static const struct field out_fields[] = {
    { FIELD(struct in, id), .absent = ABSENT_NULL },
    { FIELD(struct in, limit) },
    { 0 },
};

static const struct route rows[] = {
    { ROUTE(GET, "/api/v1/debates", answer), .public = true },
    { ROUTE(POST, "/api/v1/debates", answer), .permission = "debates.create" },
    { ROUTE(GET, "/api/v1/debates/search", answer), .public = true },
    { ROUTE(GET, "/api/v1/debates/{id}", answer), .public = true, INPUT(struct in, in_fields) },
    { ROUTE(GET, "/api/v1/debates/{id}/messages", answer), .public = true },
    { ROUTE(GET, "/api/v1/debates/search/messages/{n}", answer), .public = true },
    { ROUTE(GET, "/files/{path*}", answer), .public = true,
      .reply_type = "text/plain, application/json" },
    { ROUTE(GET, "/healthz", answer), .alias = { "/health" }, .public = true },
    { ROUTE(GET, "/api/v2/debates", answer), .public = true },
    { ROUTE(DELETE, "/api/v1/debates/{id}", answer), .signed_in = true, INPUT(struct in, in_fields),
      .reply = out_fields },
    { ROUTE(GET, "/api/v2/agents", answer), .public = true },
    { ROUTE(GET, "/api/v1/agents", answer), .public = true },
    { ROUTE(PUT, "/api/v1/debates/{id}", answer), .permission = "debates.create",
      INPUT(struct in, in_fields), .reply = out_fields, ERRORS(ERR_DEBATE_NOT_FOUND) },
    { ROUTE(POST, "/api/v1/rich", answer), .alias = { "/rich", "/api/wealthy" }, .public = true,
      .body_bytes = 5000, INPUT(struct in, rich_fields) },
    { ROUTE(POST, "/api/v2/rich/{id}", answer), .public = true, INPUT(struct in, rich_fields) },
    { ROUTE(POST, "/old/{path*}", answer), .alias = { "/older/{path*}" }, .public = true },
    { ROUTE(POST, "/api/v1/made", answer), .public = true, .status = 201, .reply = out_fields },
    { ROUTE(DELETE, "/api/v1/made", answer), .public = true, .status = 204 },
    { ROUTE(GET, "/probe", answer), .public = true, .limit = LIMIT_NONE, .unready_status = 503,
      .reply = out_fields },
    { 0 },
};

static const struct route *const tables[] = { rows, NULL };

static void the_most_literal_row_answers(void **state)
{
    static const struct {
        enum method method;
        const char *path;
        int row; /* -1: none */
        const char *param;
    } cases[] = {
        { METHOD_GET, "/api/v1/debates", 0, "" },
        { METHOD_GET, "/api/debates", 0, "" },
        { METHOD_GET, "/api/v2/debates", 8, "" }, /* a row of its own */
        { METHOD_POST, "/api/v1/debates", 1, "" },
        { METHOD_POST, "/api/v2/debates", 1, "" },
        { METHOD_GET, "/api/v1/debates/search", 2, "" },
        { METHOD_GET, "/api/v2/debates/x", 3, "x" },
        { METHOD_GET, "/api/debates/x", 3, "x" },
        { METHOD_GET, "/api/v1/debates/x/messages", 4, "x" },
        { METHOD_GET, "/api/v1/debates/search/messages", 4, "search" }, /* back-tracks */
        { METHOD_GET, "/api/v1/debates/search/messages/7", 5, "7" },
        { METHOD_GET, "/files/a/b/c", 6, "a/b/c" },
        { METHOD_GET, "/health", 7, "" },
        { METHOD_DELETE, "/api/v1/debates/search", 9, "search" }, /* only GET is literal */
        { METHOD_GET, "/api/agents", 11, "" }, /* v1 whatever the order of the rows */
        { METHOD_GET, "/api/v2/agents", 10, "" },
        { METHOD_GET, "/files", -1, "" },
        { METHOD_GET, "/api/debates/x/messages", 4, "x" },
        { METHOD_GET, "/api/v3/debates", -1, "" },
        { METHOD_GET, "/api/v1/debates/x/y", -1, "" },
        { METHOD_GET, "/api/v1", -1, "" },
        { METHOD_GET, "/", -1, "" },
    };
    struct route_index *index;

    (void)state;
    route_index_build(&index, tables);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str params[PARAMS_MAX] = { STR("") };
        const struct route *route = NULL;
        unsigned allowed;
        bool found =
            route_find(&route, &allowed, params, index, cases[i].method, str_from(cases[i].path));

        if (found != (cases[i].row >= 0) || (found && route != &rows[cases[i].row]))
            fail_msg("%s", cases[i].path);
        if (found)
            assert_true(str_is(params[0], cases[i].param));
        else
            assert_int_equal(allowed, 0);
    }
    route_index_free(index);
}

static void a_wrong_method_tells_the_right_ones(void **state)
{
    struct str params[PARAMS_MAX];
    const struct route *route;
    struct route_index *index;
    unsigned allowed;
    char text[80];

    (void)state;
    route_index_build(&index, tables);
    assert_false(
        route_find(&route, &allowed, params, index, METHOD_DELETE, STR("/api/v1/debates")));
    (void)allow_header(text, sizeof(text), allowed);
    assert_string_equal(text, "GET, HEAD, OPTIONS, POST");
    route_index_free(index);
}

static void a_path_has_one_form_or_is_refused(void **state)
{
    static const struct {
        const char *decoded, *raw, *out; /* out NULL: refused */
    } cases[] = {
        { "/api/v1/debates", "/api/v1/debates?limit=1", "/api/v1/debates" },
        { "//api///v1/debates/", "//api///v1/debates/", "/api/v1/debates" },
        { "/", "/", "/" },
        { "/api/a b", "/api/a%20b", "/api/a b" },
        { "/api/a/b", "/api/a%2Fb", NULL },
        { "/api/a/b", "/api/a%2fb", NULL },
        { "/api/a", "/api/a%00", NULL },
        { "/etc/passwd", "/api/../etc/passwd", NULL },
        { "/api/../x", "/api/%2e%2e/x", NULL },
        { "/api/./x", "/api/./x", NULL },
        { "/x", "/api/%2E%2e/x", NULL }, /* resolved before we saw it */
        { "/x", "/api/.%2e/x", NULL },
        { "/api/...", "/api/...", "/api/..." },
        { "", "", "/" },
        { "/api/a\nb", "/api/a%0ab", NULL },
        { "/api/\xff", "/api/%ff", NULL },
        { "/api/x", "/api/x?y=%2F", "/api/x" }, /* a query may hold one */
    };
    struct arena *arena = arena_new();
    struct str out;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        enum result result =
            path_normalise(&out, arena, str_from(cases[i].decoded), str_from(cases[i].raw));

        assert_int_equal(result, cases[i].out ? OK : ERR_INVALID_PATH);
        if (cases[i].out)
            assert_true(str_is(out, cases[i].out));
    }
    arena_free(arena);
}

/* In a child, which may abort. */
static bool build_aborts(const struct route *table)
{
    const struct route *const one[] = { table, NULL };
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct route_index *index;

        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
        (void)signal(SIGABRT, SIG_DFL); /* cmocka's would report a failure */
        (void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        route_index_build(&index, one);
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void a_faulty_table_stops_the_program(void **state)
{
    static const struct {
        struct route rows[3];
        bool aborts;
    } cases[] = {
        { { { ROUTE(GET, "/a", answer), .public = true },
            { ROUTE(POST, "/a", answer), .public = true } },
          false },
        { { { ROUTE(GET, "/a", answer), .public = true },
            { ROUTE(GET, "/a", answer), .public = true } },
          true },
        { { { ROUTE(GET, "/{a}", answer), .public = true },
            { ROUTE(GET, "/{b}", answer), .public = true } },
          true },
        { { { ROUTE(GET, "/a", answer), .alias = { "/b" }, .public = true },
            { ROUTE(GET, "/b", answer), .public = true } },
          true },
        { { { ROUTE(GET, "/a", answer) } }, true },
        { { { ROUTE(GET, "/a", answer), .permission = "no.such_key" } }, true },
        { { { ROUTE(GET, "/a", answer), .permission = "debates.create" } }, false },
        { { { ROUTE(GET, "/{a*}/b", answer), .public = true } }, true },
        { { { ROUTE(GET, "/{a}", answer), .alias = { "/x/{b}" }, .public = true } }, true },
        { { { ROUTE(GET, "a", answer), .public = true } }, true },
        { { { ROUTE(GET, "/a", answer), .public = true, .status = 201 } }, false },
        { { { ROUTE(GET, "/a", answer), .public = true, .status = 404 } }, true },
        { { { ROUTE(GET, "/a", answer), .public = true, .status = 204 } }, false },
        { { { ROUTE(GET, "/a", answer), .public = true, .status = 204, .reply = out_fields } },
          true },
        { { { ROUTE(GET, "/a", answer), .public = true, .unready_status = 503 } }, true },
        { { { ROUTE(POST, "/a", answer), .public = true, .creates = true } }, false },
        { { { ROUTE(GET, "/a", answer), .public = true, .creates = true } }, true },
        { { { ROUTE(POST, "/a", answer), .public = true, .status = 201, .no_database = true } },
          true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (build_aborts(cases[i].rows) != cases[i].aborts)
            fail_msg("case %zu", i);
}

static void the_document_is_json_and_holds_every_operation(void **state)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct arena *arena = arena_new();
    struct json_object *document, *paths, *item, *operation;
    size_t count = 0;

    (void)state;
    openapi_write_tables(&out, tables, OPENAPI_ALL);
    assert_int_equal(json_parse(&document, arena, buf_view(&out), &json_limits_wide, NULL), OK);
    assert_true(json_get(&paths, document, "paths"));
    json_object_object_foreach(paths, path, methods)
    {
        (void)path;
        count += (size_t)json_object_object_length(methods);
    }
    assert_int_equal(count, COUNT(rows) - 1);
    assert_true(json_get(&item, paths, "/api/v1/debates/{id}"));
    assert_true(json_get(&operation, item, "get"));
    arena_free(arena);
}

/* Follows keys separated by spaces; a number is an index. */
static struct json_object *at(struct json_object *value, const char *path)
{
    struct str rest = str_from(path), key;
    char name[64];
    int64_t place;

    while (value && str_split(&key, &rest, ' ')) {
        snprintf(name, sizeof(name), STR_FMT, STR_ARG(key));
        if (json_object_is_type(value, json_type_array))
            value = str_int(&place, key, 0, 99) ? json_object_array_get_idx(value, (size_t)place)
                                                : NULL;
        else if (!json_object_object_get_ex(value, name, &value))
            value = NULL;
    }
    return value;
}

#define PUT_ID  "paths /api/v1/debates/{id} put "
#define BODY    "requestBody content application/json schema "
#define ANSWER  "responses 200 content application/json schema "
#define DELETES "paths /api/v1/debates/{id} delete "
#define MADE    "paths /api/v1/made "
#define PROBE   "paths /probe get "
#define RICH    "paths /api/v1/rich post "
#define RICH_2  "paths /api/v2/rich/{id} post "
static const struct {
    const char *path, *text; /* NULL: not there */
} told[] = {
    { "openapi", "\"3.1.0\"" },
    { "info title", "\"Aragora API\"" },
    { PUT_ID "parameters 0 name", "\"id\"" },
    { PUT_ID "parameters 0 in", "\"path\"" },
    { PUT_ID "parameters 0 schema pattern", "\"^[a-zA-Z0-9_-]{1,64}$\"" },
    { PUT_ID "parameters 1", NULL },
    { PUT_ID BODY "properties id", NULL }, /* it is in the path */
    { PUT_ID BODY "required", NULL },
    { PUT_ID BODY "properties limit type", "[\"integer\",\"null\"]" },         /* null: absent */
    { PUT_ID BODY "properties tags type", "[\"array\",\"string\",\"null\"]" }, /* "a, b" */
    { RICH BODY "properties id type", "\"string\"" },
    { RICH BODY "properties id pattern", "\"[^ \\\\t-\\\\r]\"" }, /* not blank */
    { RICH "parameters 0 schema type", "\"array\"" },
    { PUT_ID BODY "properties limit minimum", "1" },
    { PUT_ID BODY "properties limit maximum", "100" },
    { PUT_ID BODY "properties limit default", "20" },
    { PUT_ID BODY "properties full default", "false" },
    { PUT_ID BODY "properties tags default", "[\"a\",\"b\"]" },
    { PUT_ID BODY "properties tags maxItems", "3" },
    { PUT_ID "requestBody required", NULL }, /* no member is required */
    { PUT_ID ANSWER "properties id type", "[\"string\",\"null\"]" },
    { PUT_ID ANSWER "required", "[\"id\"]" },
    { PUT_ID "responses 404 description", "\"Debate not found\"" },
    { PUT_ID "responses 403 description", "\"Permission denied\"" },
    { PUT_ID "security", "[{\"bearer\":[]}]" },
    { PUT_ID "operationId", "\"answer_13\"" }, /* one handler, many rows */
    { DELETES "requestBody", NULL },
    { DELETES "parameters 1 in", "\"query\"" },
    { DELETES "responses 403", NULL }, /* signing in is enough */
    { "paths /api/v1/debates/search/messages/{n} get parameters 0 name", "\"n\"" },
    { "paths /files/{path} get parameters 0 name", "\"path\"" },
    { "paths /healthz get security", "[]" },
    { "paths /health", NULL }, /* an alias */
    { "paths /healthz get x-aragora-aliases", "[\"/health\"]" },
    { RICH "x-aragora-aliases", "[\"/rich\",\"/api/wealthy\"]" },
    { "paths /old/{path} post x-aragora-aliases", "[\"/older/{path}\"]" },
    { PUT_ID "x-aragora-aliases", NULL },
    { RICH "x-aragora-max-body-bytes", "5000" },
    { PUT_ID "x-aragora-max-body-bytes", NULL },
    { RICH BODY "properties limit x-aragora-clamp", "true" },
    { PUT_ID BODY "properties limit x-aragora-clamp", NULL },
    { RICH BODY "properties limit examples", "[7]" },
    { RICH BODY "properties agents examples", "[[\"demo\"]]" },
    { RICH BODY "properties limit deprecated", NULL },
    { RICH BODY "properties top deprecated", "true" },
    { RICH BODY "properties top maximum", "100" },
    { RICH BODY "properties top x-aragora-alias-of", "\"limit\"" },
    { RICH BODY "properties limit x-aragora-alias-of", NULL },
    { RICH BODY "required", "[\"agents\",\"id\"]" }, /* not its second name as well */
    { RICH "parameters 0 name", "\"tags\"" },
    { RICH "parameters 0 explode", "false" }, /* of a name sent twice the first counts */
    { RICH "parameters 1 name", "\"labels\"" },
    { RICH "parameters 1 deprecated", "true" },
    { RICH "parameters 1 schema x-aragora-alias-of", "\"tags\"" },
    { RICH "parameters 2", NULL },
    { RICH "responses 422", NULL },
    { RICH_2 "responses 422 description", "\"Validation failed\"" }, /* decision 43 */
    { "paths /old/{path} post responses 415 description", "\"Unsupported Content-Type\"" },
    { "paths /healthz get responses 415", NULL },
    { MADE "post responses 201 description", "\"Created\"" },
    { MADE "post responses 201 content application/json schema required", "[\"id\"]" },
    { MADE "post responses 200", NULL },
    { MADE "post parameters 0 name", "\"Idempotency-Key\"" },
    { MADE "post parameters 0 in", "\"header\"" },
    { MADE "post parameters 0 schema pattern", "\"^[!-+.-~-]{1,255}$\"" },
    { MADE "post responses 409 description", "\"The same request is still being carried out\"" },
    { MADE "post responses 422 description", "\"The key was used with another request\"" },
    { RICH "responses 409", NULL },
    { MADE "delete responses 204 description", "\"No Content\"" },
    { MADE "delete responses 204 content", NULL },
    { RICH "parameters 0 allowEmptyValue", "true" },
    { DELETES "parameters 0 allowEmptyValue", NULL }, /* it is in the path */
    { "paths /files/{path} get responses 200 content text/plain schema type", "\"string\"" },
    { "paths /files/{path} get responses 200 content application/json schema type", "\"object\"" },
    { PROBE "responses 503 headers", NULL }, /* the probe's own reply */
    { MADE "post responses 503 headers Retry-After $ref", "\"#/components/headers/Retry-After\"" },
    { MADE "post responses 401 headers WWW-Authenticate $ref",
      "\"#/components/headers/WWW-Authenticate\"" },
    { PROBE "responses 200 content application/json schema required", "[\"id\"]" },
    { PROBE "responses 503 content application/json schema required", "[\"id\"]" },
    { PROBE "responses 504 content application/json schema $ref",
      "\"#/components/schemas/Error\"" },
    { "components schemas Error properties use_playground type", "\"boolean\"" },
    { "components schemas Error required", "[\"error\",\"code\",\"message\"]" },
};

static void the_document_tells_what_a_row_says(void **state)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    CLEANUP(buf_free) struct buf text = { 0 };
    struct arena *arena = arena_new();
    struct json_object *document;

    (void)state;
    openapi_write_tables(&out, tables, OPENAPI_ALL);
    assert_int_equal(json_parse(&document, arena, buf_view(&out), &json_limits_wide, NULL), OK);
    for (size_t i = 0; i < COUNT(told); i++) {
        struct json_object *value = at(document, told[i].path);

        buf_clear(&text);
        if (value)
            json_write(&text, value);
        if (!value != !told[i].text || (value && !str_is(buf_view(&text), told[i].text)))
            fail_msg("%s is " STR_FMT, told[i].path, STR_ARG(buf_view(&text)));
    }
    arena_free(arena);
}

static void a_reply_has_the_status_of_its_row(void **state)
{
    static const struct {
        struct route row;
        bool object;
        int status;
        const char *body;
    } cases[] = {
        { { .reply = out_fields }, true, 200, "{\"id\":\"a\",\"limit\":7}" },
        { { .reply = out_fields, .status = 202 }, true, 202, "{\"id\":\"a\",\"limit\":7}" },
        { { .status = 204 }, false, 204, "" },
    };
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct response response = { 0 };
        struct request r = { .arena = arena, .route = &cases[i].row, .response = &response };
        struct in in = { .id = STR("a"), .limit = 7 };

        assert_int_equal(reply(&r, cases[i].object ? &in : NULL), DONE);
        assert_int_equal(response.status, cases[i].status);
        assert_true(str_is(response.body, cases[i].body));
        assert_true(!response.type == !cases[i].object);
    }
    arena_free(arena);
}

/* As if it had taken its whole time. */
static enum result slow_answer(struct request *r)
{
    r->deadline_us = 1;
    reply_header(r, "X-Late", STR("1"));
    return reply_text(r, 200, "text/plain", STR("late"));
}

static void what_was_read_too_late_is_dropped_and_what_was_written_told(void **state)
{
    static const struct route reads = { ROUTE(GET, "/slow", slow_answer), .public = true };
    static const struct route writes = { ROUTE(POST, "/slow", slow_answer), .public = true };
    static const struct route *const both[] = { &reads, &writes };
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT(both); i++) {
        struct request *r = &exchange_new(arena, (struct list){ 0 })->request;
        bool kept = both[i] == &writes;

        r->route = both[i];
        r->method = both[i]->method;
        r->deadline_us = INT64_MAX;
        assert_int_equal(stage_handler(r), kept ? DONE : ERR_TIMEOUT);
        assert_int_equal(r->response->header_count, kept);
    }
    arena_free(arena);
}

static void the_end_of_a_version_comes_nearer(void **state)
{
    static const struct {
        const char *day, *level;
    } cases[] = {
        { "2025-01-15", "warning" },  { "2026-05-01", "warning" }, { "2026-05-02", "critical" },
        { "2026-05-31", "critical" }, { "2026-06-01", "sunset" },  { "2027-01-01", "sunset" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct utc day;

        assert_true(utc_parse(&day, str_from(cases[i].day)));
        assert_true(str_is(api_deprecation_level(day), cases[i].level));
    }
}

/* The program's own rows: the index aborts on a fault, the parser on a duplicate key. */
static void the_rows_of_the_program_are_sound(void **state)
{
    static const char *const documents[] = { "/api/v1/openapi.json", "/api/openapi.json",
                                             "/api/openapi" };
    CLEANUP(buf_free) struct buf out = { 0 };
    struct arena *arena = arena_new();
    struct str params[PARAMS_MAX];
    const struct route *route;
    unsigned allowed;
    struct json_object *document;
    struct route_index *index;

    (void)state;
    route_index_build(&index, route_tables);
    for (size_t i = 0; i < COUNT(documents); i++)
        assert_true(
            route_find(&route, &allowed, params, index, METHOD_GET, str_from(documents[i])));
    openapi_write(&out, OPENAPI_ALL);
    assert_int_equal(json_parse(&document, arena, buf_view(&out), &json_limits_wide, NULL), OK);
    assert_non_null(at(document, "paths /api/v1/openapi.json get"));
    for (const struct route *const *table = route_tables; *table; table++)
        for (route = *table; route->path; route++)
            if (route->input)
                fields_default(arena_alloc(arena, route->input_size), route->input, arena);
    route_index_free(index);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_literal_row_answers),
        cmocka_unit_test(a_wrong_method_tells_the_right_ones),
        cmocka_unit_test(a_path_has_one_form_or_is_refused),
        cmocka_unit_test(a_faulty_table_stops_the_program),
        cmocka_unit_test(the_document_is_json_and_holds_every_operation),
        cmocka_unit_test(the_document_tells_what_a_row_says),
        cmocka_unit_test(a_reply_has_the_status_of_its_row),
        cmocka_unit_test(the_end_of_a_version_comes_nearer),
        cmocka_unit_test(what_was_read_too_late_is_dropped_and_what_was_written_told),
        cmocka_unit_test(the_rows_of_the_program_are_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
