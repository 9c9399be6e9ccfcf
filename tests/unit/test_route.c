/* test_route.c - paths, the route index and the API document. */
#include "common/base/json.h"
#include "fcgi/openapi.h"
#include "fcgi/path.h"
#include "fcgi/route_index.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static enum result answer(struct request *r)
{
    (void)r;
    return OK;
}

struct in {
    struct str id;
    int64_t limit;
};

static const struct field in_fields[] = {
    { FIELD(struct in, id), .pattern = PATTERN_ID },
    { FIELD(struct in, limit), .min = 1, .max = 100, .fallback = "20" },
    { 0 },
};

static const struct route rows[] = {
    { ROUTE(GET, "/api/v1/debates", answer), .public = true },
    { ROUTE(POST, "/api/v1/debates", answer), .permission = "debates.create" },
    { ROUTE(GET, "/api/v1/debates/search", answer), .public = true },
    { ROUTE(GET, "/api/v1/debates/{id}", answer), .public = true,
      INPUT(struct in, in_fields) },
    { ROUTE(GET, "/api/v1/debates/{id}/messages", answer), .public = true },
    { ROUTE(GET, "/api/v1/debates/search/messages/{n}", answer), .public = true },
    { ROUTE(GET, "/files/{path*}", answer), .public = true },
    { ROUTE(GET, "/healthz", answer), .alias = { "/health" }, .public = true },
    { ROUTE(GET, "/api/v2/debates", answer), .public = true },
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
        bool found = route_find(&route, &allowed, params, index, cases[i].method,
                                str_from(cases[i].path));

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
    assert_false(route_find(&route, &allowed, params, index, METHOD_DELETE,
                            STR("/api/v1/debates")));
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

static void the_document_is_json_and_holds_every_operation(void **state)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct arena *arena = arena_new();
    struct json_object *document, *paths, *item, *operation;
    size_t count = 0;

    (void)state;
    openapi_write_tables(&out, tables);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_literal_row_answers),
        cmocka_unit_test(a_wrong_method_tells_the_right_ones),
        cmocka_unit_test(a_path_has_one_form_or_is_refused),
        cmocka_unit_test(the_document_is_json_and_holds_every_operation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
