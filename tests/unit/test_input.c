/* test_input.c - values from outside: where they are read, and how they are refused. */
#include "common/base/settings.h"
#include "fcgi/input.h"
#include "fcgi/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static enum result answer(struct request *r)
{
    (void)r;
    return OK;
}

struct in {
    struct str id, task, note, search;
    int64_t rounds;
    double share;
    struct json_text metadata;
};

static const struct field read_in[] = {
    { FIELD(struct in, id), .pattern = PATTERN_ID },
    { FIELD(struct in, search), .max = 20, .alias = "q" },
    { FIELD(struct in, rounds), .min = 1, .max = 12, .fallback = "9" },
    { 0 },
};

static const struct field write_in[] = {
    { FIELD(struct in, id), .pattern = PATTERN_ID },
    { FIELD(struct in, task), .required = true, .min = 3, .alias = "question" },
    { FIELD(struct in, rounds), .min = 1, .max = 12, .fallback = "9" },
    { FIELD(struct in, note), .from = FROM_QUERY },
    { FIELD(struct in, metadata), .kind = JSON_OBJECT },
    { FIELD_AS("idempotency-key", struct in, search), .from = FROM_HEADER, .max = 8 },
    { 0 },
};

static const struct field mended_in[] = {
    { FIELD(struct in, rounds), .min = -5, .max = 12, .clamp = true, .fallback = "9" },
    { FIELD(struct in, share), .min_real = 0, .max_real = 1, .clamp = true, .fallback = "0.5" },
    { 0 },
};

static const struct field loose_in[] = { { FIELD(struct in, note) }, { 0 } };

static const struct route reads = { ROUTE(GET, "/api/v1/debates/{id}", answer), .public = true,
                                    INPUT(struct in, read_in) };
static const struct route deletes = { ROUTE(DELETE, "/api/v1/debates/{id}", answer), .public = true,
                                      INPUT(struct in, read_in) };
static const struct route writes = { ROUTE(POST, "/api/v1/debates/{id}", answer), .public = true,
                                     INPUT(struct in, write_in) };
static const struct route relaxed = { ROUTE(POST, "/api/v1/debates/{id}", answer), .public = true,
                                      .body_optional = true, INPUT(struct in, write_in) };
static const struct route loose = { ROUTE(POST, "/api/v1/notes", answer), .public = true,
                                    INPUT(struct in, loose_in) };
static const struct route mends = { ROUTE(GET, "/api/v1/notes", answer), .public = true,
                                    INPUT(struct in, mended_in) };
static const struct route bare = { ROUTE(GET, "/healthz", answer), .public = true };

#define JSON "application/json"

struct sent {
    const struct route *route;
    const char *query, *type, *body;
};

static struct request *request_of(struct arena *arena, const struct sent *sent)
{
    struct param *params = arena_array(arena, 2, sizeof(*params));

    params[0] = (struct param){ STR("CONTENT_TYPE"), str_from(sent->type) };
    params[1] = (struct param){ STR("HTTP_IDEMPOTENCY_KEY"), STR("k-1") };
    struct exchange *exchange = exchange_new(arena, (struct list){ params, 2 });
    struct request *r = &exchange->request;

    r->route = sent->route;
    r->method = sent->route->method;
    r->params[0] = STR("d-1");
    r->query = str_from(sent->query);
    r->body = str_from(sent->body);
    return r;
}

static int set_up(void **state)
{
    *state = arena_new();
    return 0;
}

static int tear_down(void **state)
{
    arena_free(*state);
    return 0;
}

static void load_settings(const char *blocking)
{
    const char *problem;

    setting_override(SETTING_VALIDATION_BLOCKING, blocking);
    if (settings_load(&problem) != OK)
        abort();
}

static const struct {
    struct sent sent;
    enum result result;
    const char *field, *message; /* message NULL: the error's own */
} refusals[] = {
    { { &reads, "what=1" }, ERR_INVALID_QUERY, "what", "Unknown query parameter: what" },
    { { &bare, "what=1" }, ERR_INVALID_QUERY, "what", "Unknown query parameter: what" },
    { { &reads, "id=x" }, ERR_INVALID_QUERY, "id", "Unknown query parameter: id" },
    { { &reads, "search=%zz" }, ERR_INVALID_QUERY, "search", "Invalid value for search" },
    { { &reads, "search=%4" }, ERR_INVALID_QUERY, "search", "Invalid value for search" },
    { { &reads, "search=%" }, ERR_INVALID_QUERY, "search", "Invalid value for search" },
    { { &reads, "search=%ff" }, ERR_INVALID_QUERY, "search", "Invalid value for search" },
    { { &reads, "search=a%00" }, ERR_INVALID_QUERY, "search", "Invalid value for search" },
    { { &reads, "%ff=a" }, ERR_INVALID_QUERY, "query", "Invalid query parameter name" },
    { { &reads, "rounds=13" }, ERR_INVALID_FIELD, "rounds", "Field 'rounds' must be at most 12" },
    { { &reads, "rounds=99999999999999999999" },
      ERR_INVALID_FIELD,
      "rounds",
      "Field 'rounds' must be an integer" },
    { { &reads, "rounds=many" }, ERR_INVALID_FIELD, "rounds", "Field 'rounds' must be an integer" },
    { { &writes, "", JSON, "" }, ERR_EMPTY_BODY, "body", NULL },
    { { &writes, "", NULL, "{}" },
      ERR_MEDIA_TYPE,
      "Content-Type",
      "Content-Type header required for POST with body" },
    { { &writes, "", "text/plain; a=b", "{}" },
      ERR_MEDIA_TYPE,
      "Content-Type",
      "Unsupported Content-Type: text/plain. Expected application/json" },
    { { &writes, "", JSON, "[]" }, ERR_INVALID_BODY_TYPE, "body", NULL },
    { { &writes, "", JSON, "null" }, ERR_INVALID_BODY_TYPE, "body", NULL },
    { { &writes, "", JSON, "{}" }, ERR_MISSING_FIELD, "task", "Missing required field: task" },
    { { &writes, "", JSON, "{\"task\":null}" },
      ERR_MISSING_FIELD,
      "task",
      "Missing required field: task" },
    { { &relaxed, "", JSON, "" }, ERR_MISSING_FIELD, "task", "Missing required field: task" },
    { { &writes, "task=abc", JSON, "{}" },
      ERR_MISSING_FIELD,
      "task",
      "Missing required field: task" },
    { { &writes, "", JSON, "{\"task\":7}" },
      ERR_INVALID_FIELD,
      "task",
      "Field 'task' must be a string" },
    { { &writes, "", JSON, "{\"task\":\"abc\",\"question\":7}" },
      ERR_INVALID_FIELD,
      "task",
      "Field 'task' must be a string" },
    { { &writes, "", JSON, "{\"task\":\"abc\",\"rounds\":4.5}" },
      ERR_INVALID_FIELD,
      "rounds",
      "Field 'rounds' must be an integer" },
    { { &writes, "", JSON, "{\"task\":\"abc\",\"rounds\":1e300}" },
      ERR_INVALID_FIELD,
      "rounds",
      "Field 'rounds' must be an integer" },
    { { &writes, "", JSON, "{\"task\":\"abc\",\"rounds\":true}" },
      ERR_INVALID_FIELD,
      "rounds",
      "Field 'rounds' must be an integer" },
};

static void bad_input_is_refused_and_the_field_named(void **state)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct request *r = request_of(*state, &refusals[i].sent);
        enum result result = input_read(r);
        const char *message = refusals[i].message;

        if (result != refusals[i].result || r->refusal.result != result ||
            !str_is(r->refusal.field, refusals[i].field) ||
            !str_eq(r->refusal.message, str_from(message)))
            fail_msg("case %zu: %d " STR_FMT ": " STR_FMT, i, result, STR_ARG(r->refusal.field),
                     STR_ARG(r->refusal.message));
    }
}

static void broken_json_and_json_over_a_limit_are_refused(void **state)
{
    static const struct {
        const char *body;
        enum result result;
    } cases[] = {
        { "{\"task\":", ERR_INVALID_JSON },
        { "{\"task\":\"a\",\"task\":\"b\"}", ERR_INVALID_JSON },
        { "{\"task\":\"\xff\"}", ERR_INVALID_JSON },
        { "{\"task\":[[[[[[[[[[[[1]]]]]]]]]]]]}", ERR_INVALID_STRUCTURE },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sent sent = { &writes, "", JSON, cases[i].body };
        struct request *r = request_of(*state, &sent);

        assert_int_equal(input_read(r), cases[i].result);
        assert_true(str_is(r->refusal.field, "body"));
        assert_true(r->refusal.message.len > 0);
    }
}

static void a_bad_name_in_the_path_is_refused(void **state)
{
    struct sent sent = { &reads, "" };
    struct request *r = request_of(*state, &sent);

    r->params[0] = STR("a b");
    assert_int_equal(input_read(r), ERR_INVALID_PATH);
    assert_true(str_is(r->refusal.field, "id"));
    assert_true(str_is(r->refusal.message, "Invalid id: must match pattern ^[a-zA-Z0-9_-]{1,64}$"));
}

static void a_query_is_decoded_and_its_first_value_counts(void **state)
{
    static const struct {
        const char *query, *search; /* search NULL: absent */
        int64_t rounds;
    } cases[] = {
        { NULL, NULL, 9 },
        { "", NULL, 9 },
        { "&&", NULL, 9 },
        { "search=a+b%2Bc%26", "a b+c&", 9 },
        { "q=x", "x", 9 },
        { "%73earch=%C3%A4", "\xc3\xa4", 9 },
        { "search=&rounds=", NULL, 9 }, /* blank is absent */
        { "search", NULL, 9 },
        { "search=a&search=b", "a", 9 },
        { "rounds=3&search=a=b", "a=b", 3 },
    };
    static const struct route *const routes[] = { &reads, &deletes };

    for (size_t i = 0; i < COUNT(cases) * COUNT(routes); i++) {
        struct sent sent = { routes[i % 2], cases[i / 2].query };
        struct request *r = request_of(*state, &sent);

        assert_int_equal(input_read(r), OK);
        const struct in *in = r->input;
        assert_true(str_is(in->id, "d-1"));
        assert_true(given(r, read_in, id));
        assert_int_equal(in->rounds, cases[i / 2].rounds);
        assert_int_equal(given(r, read_in, search), cases[i / 2].search != NULL);
        assert_true(str_eq(in->search, str_from(cases[i / 2].search)));
    }
}

static void a_text_without_a_limit_has_that_of_all_queries(void **state)
{
    char query[600] = "note=";

    for (size_t length = 500; length <= 501; length++) {
        struct sent sent = { &writes, query, JSON, "{\"task\":\"abc\"}" };

        memset(query + 5, 'x', length);
        struct request *r = request_of(*state, &sent);
        assert_int_equal(input_read(r), length > 500 ? ERR_INVALID_QUERY : OK);
        assert_true(length == 500 ||
                    str_is(r->refusal.message, "Parameter note exceeds max length (500)"));
    }
}

static void a_number_out_of_bounds_is_mended_where_the_field_says_so(void **state)
{
    static const struct {
        const char *query;
        int64_t rounds;
        double share;
    } cases[] = {
        { "rounds=13&share=1.5", 12, 1 },
        { "rounds=-6&share=-1", -5, 0 },
        { "rounds=3&share=0.25", 3, 0.25 },
        { "rounds=99999999999999999999", 12, 0.5 }, /* no int64_t, but a number */
        { "rounds=-99999999999999999999", -5, 0.5 },
        { "rounds=%2B99999999999999999999", 12, 0.5 },
        { "rounds=99999999999999999999x&share=x", 9, 0.5 }, /* unreadable: the fallback */
        { "rounds=-&share=nan", 9, 0.5 },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sent sent = { &mends, cases[i].query };
        struct request *r = request_of(*state, &sent);

        assert_int_equal(input_read(r), OK);
        const struct in *in = r->input;
        assert_int_equal(in->rounds, cases[i].rounds);
        assert_true(in->share == cases[i].share);
    }
}

static void a_body_fills_the_members_and_unknown_ones_do_not_matter(void **state)
{
    static const char *const bodies[] = {
        "{\"task\":\"abc\",\"rounds\":null,\"unknown\":[1]}",
        "{\"question\":\"abc\"}",
        "{\"question\":\"abd\",\"task\":\"abc\"}",
        "{\"task\":null,\"question\":\"abc\",\"metadata\":null}",
    };
    static const char *const types[] = { JSON, "text/json", JSON,
                                         "Application/JSON; charset=utf-8" };

    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct sent sent = { &writes, "note=hi&unknown=1", types[i], bodies[i] };
        struct request *r = request_of(*state, &sent);

        assert_int_equal(input_read(r), OK);
        const struct in *in = r->input;
        assert_true(str_is(in->id, "d-1"));
        assert_true(str_is(in->task, "abc"));
        assert_true(str_is(in->note, "hi"));    /* .from = FROM_QUERY */
        assert_true(str_is(in->search, "k-1")); /* .from = FROM_HEADER */
        assert_int_equal(in->rounds, 9);
        assert_true(given(r, write_in, task));
        assert_false(given(r, write_in, rounds));
        assert_false(given(r, write_in, metadata));
    }
}

static void an_integer_may_be_written_with_a_point(void **state)
{
    struct sent sent = { &writes, "", JSON, "{\"task\":\"abc\",\"rounds\":4.0}" };
    struct request *r = request_of(*state, &sent);

    assert_int_equal(input_read(r), OK);
    assert_int_equal(((const struct in *)r->input)->rounds, 4);
}

static void an_empty_body_will_do_where_nothing_is_required(void **state)
{
    struct sent sent = { &loose, "", NULL, "" };
    struct request *r = request_of(*state, &sent);

    assert_int_equal(input_read(r), OK);
    assert_int_equal(r->given, 0);
}

/* In a child, since settings are read once in a program's life. */
static void without_blocking_a_fault_of_form_only_warns(void **state)
{
    static const struct sent cases[] = {
        { &reads, "what=1" },
        { &loose, "", JSON, "{\"x\":[[[[[[[[[[[[1]]]]]]]]]]]]}" },
    };
    pid_t child = fork();
    int status, warned = 0;

    if (child == 0) {
        load_settings("false");
        for (size_t i = 0; i < COUNT(cases); i++) {
            struct request *r = request_of(*state, &cases[i]);

            warned += input_read(r) == OK && r->response->header_count == 1 &&
                      str_is(r->response->headers[0].name, "Warning");
        }
        _exit(warned);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), COUNT(cases));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(bad_input_is_refused_and_the_field_named),
        TEST(broken_json_and_json_over_a_limit_are_refused),
        TEST(a_bad_name_in_the_path_is_refused),
        TEST(a_query_is_decoded_and_its_first_value_counts),
        TEST(a_text_without_a_limit_has_that_of_all_queries),
        TEST(a_number_out_of_bounds_is_mended_where_the_field_says_so),
        TEST(a_body_fills_the_members_and_unknown_ones_do_not_matter),
        TEST(an_integer_may_be_written_with_a_point),
        TEST(an_empty_body_will_do_where_nothing_is_required),
        TEST(without_blocking_a_fault_of_form_only_warns),
    };

    load_settings("true");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
