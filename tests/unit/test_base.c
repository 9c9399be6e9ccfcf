/* test_base.c - strings, numbers, JSON, times, ids, fields. */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/field.h"
#include "common/base/id.h"
#include "common/base/log.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int with_arena(void **state)
{
    *state = arena_new();
    return 0;
}

static int without_arena(void **state)
{
    arena_free(*state);
    return 0;
}

static void numbers_are_printed_as_ecmascript_does(void **state)
{
    /* RFC 8785, appendix B. */
    static const struct {
        uint64_t bits;
        const char *text;
    } cases[] = {
        { 0x0000000000000000, "0" },
        { 0x8000000000000000, "0" },
        { 0x0000000000000001, "5e-324" },
        { 0x7fefffffffffffff, "1.7976931348623157e+308" },
        { 0x4340000000000000, "9007199254740992" },
        { 0x4430000000000000, "295147905179352830000" },
        { 0x44b52d02c7e14af5, "9.999999999999997e+22" },
        { 0x44b52d02c7e14af6, "1e+23" },
        { 0x444b1ae4d6e2ef4e, "999999999999999700000" },
        { 0x444b1ae4d6e2ef50, "1e+21" },
        { 0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7" },
        { 0x3eb0c6f7a0b5ed8d, "0.000001" },
        { 0x41b3de4355555553, "333333333.3333332" },
        { 0xbecbf647612f3696, "-0.0000033333333333333333" },
        { 0x43143ff3c1cb0959, "1424953923781206.2" },
    };
    char text[DOUBLE_TEXT];
    double value;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        memcpy(&value, &cases[i].bits, sizeof(value));
        double_text(text, value);
        assert_string_equal(text, cases[i].text);
    }
}

/* As the definition says: the first precision that reads back. */
static void a_number_has_the_fewest_digits_that_read_back(void **state)
{
    static const double units[] = { 1, 10, 100, 1e4, 1e6, 1e7, 3, 7 };
    uint64_t random = 88172645463325252;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char expected[64], text[DOUBLE_TEXT];
        int precision = 1;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        double value = (double)(random % 1000000007) / units[i % COUNT(units)];
        do
            snprintf(expected, sizeof(expected), "%.*e", precision - 1, value);
        while (strtod(expected, NULL) != value && ++precision);
        double_text(text, value);
        assert_true(strtod(text, NULL) == value);
        char digits[DOUBLE_TEXT] = "", *at = digits;
        for (const char *from = text + strspn(text, "0."); *from; from++)
            if (*from != '.')
                *at++ = *from;
        while (at > digits + 1 && at[-1] == '0')
            at--;
        assert_int_equal(at - digits, precision);
    }
}

static void whole_numbers_are_printed_to_their_bounds(void **state)
{
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { -1, "-1" },
        { 1000, "1000" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" },
    };
    char text[INT_TEXT];

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(int_text(text, cases[i].value), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
        assert_true(str_is(arena_int(*state, cases[i].value), cases[i].text));
    }
}

/* Whatever room is left in the block or the buffer: none, too little, enough. */
static void a_format_is_never_cut(void **state)
{
    CLEANUP(buf_free) struct buf buf = { 0 };
    char expected[512];

    for (int i = 0; i < 2000; i++) {
        int len = snprintf(expected, sizeof(expected), "%0*d", 1 + i % 300, i);
        struct str text = arena_printf(*state, "%0*d", 1 + i % 300, i);
        char *behind = arena_alloc(*state, 1);

        assert_int_equal(text.len, len);
        assert_string_equal(text.at, expected);
        assert_true(behind > text.at + len || behind < text.at);
        assert_int_equal(*behind, 0);
        *behind = 'x';
        if (i % 50 == 0)
            buf_free(&buf);
        size_t before = buf.len;
        buf_printf(&buf, "%0*d", 1 + i % 300, i);
        assert_true(str_is(str_slice(buf_view(&buf), before, buf.len), expected));
    }
}

static void bad_json_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *text;
        enum result result;
        const char *reason;
    } cases[] = {
        { "{\"a\":1,\"a\":2}", ERR_INVALID_JSON, "duplicate key" },
        { "{\"a\":1,\"\\u0061\":2}", ERR_INVALID_JSON, "duplicate key" },
        { "[NaN]", ERR_INVALID_JSON, "unexpected character" },
        { "[01]", ERR_INVALID_JSON, "leading zero" },
        { "[1.]", ERR_INVALID_JSON, "digits must follow" },
        { "[1e400]", ERR_INVALID_JSON, "out of range" },
        { "[9223372036854775808]", ERR_INVALID_JSON, "out of range" },
        { "[\"\\ud800\"]", ERR_INVALID_JSON, "lone surrogate" },
        { "[\"a\\u0000b\"]", ERR_INVALID_JSON, "NUL" },
        { "[\"a\tb\"]", ERR_INVALID_JSON, "control character" },
        { "[\"\xff\"]", ERR_INVALID_JSON, "UTF-8" },
        { "[1,]", ERR_INVALID_JSON, "unexpected character" },
        { "{} {}", ERR_INVALID_JSON, "text after" },
        { "[TRUE]", ERR_INVALID_JSON, "unexpected character" },
        { "", ERR_INVALID_JSON, "unexpected end" },
        { "[[[[1]]]]", ERR_INVALID_STRUCTURE, "depth exceeds limit of 2" },
        { "[1,2,3,4]", ERR_INVALID_STRUCTURE, "4 items (max 3)" },
        { "{\"a\":1,\"b\":2,\"c\":3}", ERR_INVALID_STRUCTURE, "3 keys (max 2)" },
    };
    static const struct json_limits limits = { .depth = 2, .array_items = 3, .object_keys = 2 };
    struct json_object *value;
    struct json_fault fault;
    size_t at;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum result result = json_parse(&value, *state, str_from(cases[i].text), &limits, &fault);
        assert_int_equal(result, cases[i].result);
        if (!str_find(&at, fault.message, str_from(cases[i].reason)))
            fail_msg("%s: %.*s", cases[i].text, STR_ARG(fault.message));
    }
}

static void good_json_comes_back_the_same(void **state)
{
    static const char *const cases[] = {
        "null",
        "true",
        "-0.5",
        "9223372036854775807",
        "-9223372036854775808",
        "{\"a\":[1,2.5,\"x\\n\\u0001\"],\"b\":{}}",
        "\"\xf0\x9f\x98\x80\"",
        "[]",
        "1e+21",
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(buf_free) struct buf out = { 0 };
        struct json_object *value;

        assert_int_equal(json_parse(&value, *state, str_from(cases[i]), &json_limits_wide, NULL),
                         OK);
        json_write(&out, value);
        assert_int_equal(out.len, strlen(cases[i]));
        assert_memory_equal(out.at, cases[i], out.len);
    }
}

static void every_escaped_character_arrives(void **state)
{
    static const char *const cases[][2] = {
        { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
        { "\"\\uD876\\uDC00\"", "\"\xf0\xad\xa0\x80\"" }, /* json-c alone loses this one */
        { "\"\\\\ud876 \\u00e4\"", "\"\\\\ud876 \xc3\xa4\"" },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(buf_free) struct buf out = { 0 };
        struct json_object *value;

        assert_int_equal(json_parse(&value, *state, str_from(cases[i][0]), &json_limits_wide, NULL),
                         OK);
        json_write(&out, value);
        assert_int_equal(out.len, strlen(cases[i][1]));
        assert_memory_equal(out.at, cases[i][1], out.len);
    }
}

static void times_are_read_back_and_nonsense_is_refused(void **state)
{
    static const char *const bad[] = { "2026-02-30",
                                       "2026-13-01",
                                       "26-01-01",
                                       "yesterday",
                                       "2026-01-21T25:00:00Z",
                                       "2026-01-21T10:00:00+9:00",
                                       "" };
    struct utc time;
    char text[UTC_TEXT];

    (void)state;
    assert_true(utc_parse(&time, STR("2026-01-21T12:00:00.25+02:00")));
    utc_text(text, time);
    assert_string_equal(text, "2026-01-21T10:00:00.250000+00:00");
    assert_true(utc_parse(&time, STR("2026-01-21")));
    utc_text_z(text, time);
    assert_string_equal(text, "2026-01-21T00:00:00Z");
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(utc_parse(&time, str_from(bad[i])));
}

static void digests_and_encodings_match_published_vectors(void **state)
{
    static const char *const base64[][2] = {
        /* RFC 4648 10 */
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    struct bytes back;

    assert_string_equal(sha256_hex(*state, STR("abc")).at, /* FIPS 180-4 */
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (size_t i = 0; i < COUNT(base64); i++) {
        struct str text = base64_text(*state, base64[i][0], strlen(base64[i][0]));

        assert_true(str_is(text, base64[i][1]));
        assert_true(base64_bytes(&back, *state, text));
        assert_int_equal(back.len, strlen(base64[i][0]));
        assert_memory_equal(back.at, base64[i][0], back.len);
    }
    assert_false(base64_bytes(&back, *state, STR("Zg!=")));
}

static void ids_sort_by_time_and_do_not_repeat(void **state)
{
    struct str first = id_new(*state, "adhoc_"), second = id_new(*state, "adhoc_");

    assert_int_equal(first.len, 38);
    assert_false(str_eq(first, second));
    assert_true(memcmp(first.at, second.at, 6 + 12) <= 0);
    assert_int_equal(first.at[6 + 12], '7'); /* the version */
    assert_int_equal(id_uuid(*state).len, UUID_TEXT);
}

struct sample {
    struct str task;
    int64_t rounds;
    double share;
    bool public;
    unsigned rule;
    struct list agents;
    struct json_text metadata;
    struct utc since;
};

static const char *const rules[] = { "majority", "unanimous", NULL };
static const struct field sample_fields[] = {
    { FIELD(struct sample, task), .required = true, .trim = true, .min = 3, .max = 8 },
    { FIELD(struct sample, rounds), .min = 1, .max = 12, .fallback = "9" },
    { FIELD(struct sample, share), .min_real = 0, .max_real = 1 },
    { FIELD(struct sample, public) },
    { FIELD(struct sample, rule), .choices = rules },
    { FIELD_TEXTS(struct sample, agents), .max = 2 },
    { FIELD(struct sample, metadata), .kind = JSON_OBJECT },
    { FIELD(struct sample, since), .absent = ABSENT_NULL },
    { 0 },
};

static void bad_values_are_refused_and_the_field_named(void **state)
{
    static const struct {
        size_t field;
        const char *json, *message;
    } cases[] = {
        { 0, "5", "Field 'task' must be a string" },
        { 0, "\"  ab  \"", "Field 'task' must be at least 3 characters" },
        { 0, "\"ninechars\"", "Field 'task' must be at most 8 characters" },
        { 1, "\"3\"", "Field 'rounds' must be an integer" },
        { 1, "true", "Field 'rounds' must be an integer" },
        { 1, "2.5", "Field 'rounds' must be an integer" },
        { 1, "0", "Field 'rounds' must be at least 1" },
        { 1, "13", "Field 'rounds' must be at most 12" },
        { 2, "1.5", "Field 'share' must be at most 1" },
        { 3, "1", "Field 'public' must be a boolean" },
        { 4, "\"maybe\"", "Field 'rule' must be one of: majority, unanimous" },
        { 5, "{}", "Field 'agents' must be a list" },
        { 5, "[\"a\",2]", "Field 'agents[1]' must be of type string" },
        { 5, "[\"a\",\"b\",\"c\"]", "Field 'agents' must have at most 2 items" },
        { 6, "[]", "Field 'metadata' must be an object" },
        { 7, "\"soon\"", "Field 'since' must be an ISO 8601 time" },
    };
    struct sample sample;
    struct json_object *value;
    struct field_fault fault;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct field *field = &sample_fields[cases[i].field];

        fields_default(&sample, sample_fields, *state);
        assert_int_equal(
            json_parse(&value, *state, str_from(cases[i].json), &json_limits_wide, NULL), OK);
        assert_int_equal(field_from_json(&sample, field, *state, value, &fault), ERR_INVALID_FIELD);
        if (!str_is(fault.message, cases[i].message))
            fail_msg("%s gave %.*s", cases[i].message, STR_ARG(fault.message));
    }
}

static void a_struct_is_written_as_its_table_says(void **state)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct sample sample;
    struct field_fault fault;

    fields_default(&sample, sample_fields, *state);
    sample.task = STR("a\"b");
    assert_int_equal(field_from_text(&sample, &sample_fields[5], *state, STR("x, ,y"), &fault), OK);
    fields_write(&out, &sample, sample_fields);
    buf_char(&out, '\0');
    assert_string_equal(out.at, "{\"task\":\"a\\\"b\",\"rounds\":9,\"public\":false,"
                                "\"rule\":\"majority\",\"agents\":[\"x\",\"y\"],\"since\":null}");
}

static const struct field empty_times[] = {
    { FIELD_AS("iso", struct sample, since), .absent = ABSENT_EMPTY },
    { FIELD_AS("epoch", struct sample, since), .absent = ABSENT_EMPTY, .form = FORM_EPOCH },
    { 0 },
};

/* The document promises a number or a text for each form. */
static void an_absent_time_is_empty_in_its_own_form(void **state)
{
    CLEANUP(buf_free) struct buf out = { 0 };
    struct sample sample;

    fields_default(&sample, sample_fields, *state);
    fields_write(&out, &sample, empty_times);
    assert_true(str_is(buf_view(&out), "{\"iso\":\"\",\"epoch\":0}"));
}

/* What the call writes to standard error. */
static void log_line(char *out, size_t size, const char *name, const char *value)
{
    int ends[2], before = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    log_event(LOG_WARNING, "something happened", name, value);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    close(ends[1]);
    ssize_t len = read(ends[0], out, size - 1);
    close(ends[0]);
    out[len > 0 ? len : 0] = '\0';
}

static void a_log_line_has_its_shape_and_no_secret(void **state)
{
    static const struct {
        const char *name, *value, *written;
    } cases[] = {
        { "path", "/api", "path=/api" },
        { "path", "a \"b\"", "path=\"a \\\"b\\\"\"" },
        { "token", "x", "token=[REDACTED]" },
        { "ApiKey", "x", "ApiKey=[REDACTED]" },
        { "the_SESSION_key_of", "x", "the_SESSION_key_of=[REDACTED]" },
        { "cvv", "x", "cvv=[REDACTED]" },
        { "cv", "x", "cv=x" },
        { "database_connection_string", "x", "database_connection_string=[REDACTED]" },
        { "reason", "Bearer abcdefghijkl", "reason=[REDACTED]" },
        { "path", "/x/the-secret-of-all/y", "path=[REDACTED]" },
        { "path", "/x/the-secret-of-al", "path=/x/the-secret-of-al" },
        { "path", "/x/short", "path=/x/short" },
    };
    char line[512];

    (void)state;
    log_open("test", LOG_INFO, LOG_TEXT);
    log_hide(STR("the-secret-of-all"));
    log_hide(STR("short"));
    log_hide(STR_NONE);
    log_context(STR("req-1"), STR("trace"));
    for (size_t i = 0; i < COUNT(cases); i++) {
        log_line(line, sizeof(line), cases[i].name, cases[i].value);
        const char *behind = strstr(line, "] [WARNING ] [req-1] test - something happened ");
        assert_ptr_equal(behind, line + strlen("[2026-01-21 10:00:00.123"));
        behind += strlen("] [WARNING ] [req-1] test - something happened ");
        assert_int_equal(strncmp(behind, cases[i].written, strlen(cases[i].written)), 0);
        assert_string_equal(behind + strlen(cases[i].written), "\n");
    }
    log_context(STR("the-secret-of-all"), STR("trace"));
    log_line(line, sizeof(line), "a", "b");
    assert_non_null(strstr(line, "] [[REDACTED]] test - "));
    log_context(STR_NONE, STR_NONE);
}

static void count_call(void *object)
{
    ++*(int *)object;
}

static void an_arena_forgets_everything_and_runs_what_was_deferred(void **state)
{
    int calls = 0;

    (void)state;
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 100000; size *= 3)
            memset(arena_alloc(arena, size), 0xab, size);
        arena_defer(arena, count_call, &calls);
        arena_reset(arena);
        assert_int_equal(calls, round + 1);
    }
    assert_int_equal(*(char *)arena_alloc(arena, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_printed_as_ecmascript_does),
        cmocka_unit_test(a_number_has_the_fewest_digits_that_read_back),
        cmocka_unit_test_setup_teardown(whole_numbers_are_printed_to_their_bounds, with_arena,
                                        without_arena),
        cmocka_unit_test_setup_teardown(a_format_is_never_cut, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(bad_json_is_refused_with_its_reason, with_arena,
                                        without_arena),
        cmocka_unit_test_setup_teardown(good_json_comes_back_the_same, with_arena, without_arena),
        cmocka_unit_test_setup_teardown(every_escaped_character_arrives, with_arena, without_arena),
        cmocka_unit_test(times_are_read_back_and_nonsense_is_refused),
        cmocka_unit_test_setup_teardown(digests_and_encodings_match_published_vectors, with_arena,
                                        without_arena),
        cmocka_unit_test_setup_teardown(ids_sort_by_time_and_do_not_repeat, with_arena,
                                        without_arena),
        cmocka_unit_test_setup_teardown(bad_values_are_refused_and_the_field_named, with_arena,
                                        without_arena),
        cmocka_unit_test_setup_teardown(a_struct_is_written_as_its_table_says, with_arena,
                                        without_arena),
        cmocka_unit_test_setup_teardown(an_absent_time_is_empty_in_its_own_form, with_arena,
                                        without_arena),
        cmocka_unit_test(a_log_line_has_its_shape_and_no_secret),
        cmocka_unit_test(an_arena_forgets_everything_and_runs_what_was_deferred),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
