/* test_jcs.c - canonical JSON, as RFC 8785 has it. */
#include "common/receipt/jcs.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_text(struct str text, struct str expected)
{
    if (!str_eq(text, expected))
        fail_msg("\"" STR_FMT "\" is not \"" STR_FMT "\"", STR_ARG(text), STR_ARG(expected));
}

static void numbers_follow_the_samples_of_rfc_8785(void **state)
{
    /* Appendix B; NULL: refused. */
    static const struct {
        uint64_t bits;
        const char *text;
    } cases[] = {
        { 0x0000000000000000, "0" },
        { 0x8000000000000000, "0" },
        { 0x0000000000000001, "5e-324" },
        { 0x8000000000000001, "-5e-324" },
        { 0x7fefffffffffffff, "1.7976931348623157e+308" },
        { 0xffefffffffffffff, "-1.7976931348623157e+308" },
        { 0x4340000000000000, "9007199254740992" },
        { 0xc340000000000000, "-9007199254740992" },
        { 0x4430000000000000, "295147905179352830000" },
        { 0x7fffffffffffffff, NULL },
        { 0x7ff0000000000000, NULL },
        { 0xfff0000000000000, NULL },
        { 0x44b52d02c7e14af5, "9.999999999999997e+22" },
        { 0x44b52d02c7e14af6, "1e+23" },
        { 0x44b52d02c7e14af7, "1.0000000000000001e+23" },
        { 0x444b1ae4d6e2ef4e, "999999999999999700000" },
        { 0x444b1ae4d6e2ef4f, "999999999999999900000" },
        { 0x444b1ae4d6e2ef50, "1e+21" },
        { 0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7" },
        { 0x3eb0c6f7a0b5ed8d, "0.000001" },
        { 0x41b3de4355555553, "333333333.3333332" },
        { 0x41b3de4355555554, "333333333.33333325" },
        { 0x41b3de4355555555, "333333333.3333333" },
        { 0x41b3de4355555556, "333333333.3333334" },
        { 0x41b3de4355555557, "333333333.33333343" },
        { 0xbecbf647612f3696, "-0.0000033333333333333333" },
        { 0x43143ff3c1cb0959, "1424953923781206.2" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(buf_free) struct buf out = { 0 };
        double value;

        memcpy(&value, &cases[i].bits, sizeof(value));
        struct json_object *number = json_object_new_double(value);
        assert_int_equal(jcs_write(&out, number), cases[i].text ? OK : ERR_VALIDATION);
        assert_text(buf_view(&out), cases[i].text ? str_from(cases[i].text) : STR(""));
        json_object_put(number);
    }
}

static void json_has_one_canonical_text(void **state)
{
    static const struct {
        struct str json, canonical;
    } cases[] = {
        /* RFC 8785 3.2.3: the emoji's surrogates come before U+FB33. */
        { STR("{\"\\u20ac\":\"Euro Sign\",\"\\r\":\"Carriage Return\","
              "\"\\ufb33\":\"Hebrew Letter Dalet With Dagesh\",\"1\":\"One\","
              "\"\\ud83d\\ude00\":\"Emoji: Grinning Face\",\"\\u0080\":\"Control\","
              "\"\\u00f6\":\"Latin Small Letter O With Diaeresis\"}"),
          STR("{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xc2\x80\":\"Control\","
              "\"\xc3\xb6\":\"Latin Small Letter O With Diaeresis\","
              "\"\xe2\x82\xac\":\"Euro Sign\",\"\xf0\x9f\x98\x80\":\"Emoji: Grinning Face\","
              "\"\xef\xac\xb3\":\"Hebrew Letter Dalet With Dagesh\"}") },
        /* RFC 8785 3.2.2. */
        { STR("{ \"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3,"
              " 0.000000000000000000000000001],"
              " \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\","
              " \"literals\": [null, true, false] }"),
          STR("{\"literals\":[null,true,false],"
              "\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
              "\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}") },
        { STR("{\"b\":{\"d\":[],\"c\":{}},\"ab\":1,\"a\":2,\"\":3}"),
          STR("{\"\":3,\"a\":2,\"ab\":1,\"b\":{\"c\":{},\"d\":[]}}") },
        /* U+E000 lies behind the surrogates too, U+D7FF before them. */
        { STR("{\"\\ue000\":1,\"\\ud800\\udc00\":2,\"\\ud7ff\":3}"),
          STR("{\"\xed\x9f\xbf\":3,\"\xf0\x90\x80\x80\":2,\"\xee\x80\x80\":1}") },
        { STR(" null "), STR("null") },
        { STR("-0"), STR("0") },
        { STR("[1.0,-0.0]"), STR("[1,0]") },
        { STR("[9007199254740992,-9007199254740992]"),
          STR("[9007199254740992,-9007199254740992]") },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEANUP(arena_cleanup) struct arena *arena = arena_new();
        struct str out;

        assert_int_equal(jcs_text(&out, arena, cases[i].json), OK);
        assert_text(out, cases[i].canonical);
        assert_int_equal(jcs_text(&out, arena, out), OK);
        assert_text(out, cases[i].canonical);
    }
}

static void what_has_no_canonical_text_is_refused(void **state)
{
    static const struct {
        struct str json;
        enum result result;
    } cases[] = {
        { STR("[9007199254740993]"), ERR_VALIDATION },
        { STR("{\"a\":[-9007199254740993]}"), ERR_VALIDATION },
        { STR("9223372036854775807"), ERR_VALIDATION },
        { STR("{\"a\":1,\"a\":2}"), ERR_INVALID_JSON },
        { STR("[1,]"), ERR_INVALID_JSON },
        { STR(""), ERR_INVALID_JSON },
    };
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf out = { 0 };
    struct str untouched = STR("kept");

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(jcs_text(&untouched, arena, cases[i].json), cases[i].result);
    assert_text(untouched, STR("kept"));

    struct json_object *bad = json_object_new_array();
    json_object_array_add(bad, json_object_new_string("\xff"));
    buf_str(&out, STR("kept"));
    assert_int_equal(jcs_write(&out, bad), ERR_VALIDATION);
    assert_text(buf_view(&out), STR("kept"));
    json_object_put(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_follow_the_samples_of_rfc_8785),
        cmocka_unit_test(json_has_one_canonical_text),
        cmocka_unit_test(what_has_no_canonical_text_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
