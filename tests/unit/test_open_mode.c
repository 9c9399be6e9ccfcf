/* test_open_mode.c - who counts as the local owner, and when open mode is possible at all. */
#include "common/auth/open_mode.h"

#include "common/auth/origin.h"
#include "common/base/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define STARTER ((uid_t)12345)

static struct open_caller good(void)
{
    return (
        struct open_caller){ .host = STR("127.0.0.1:8080"), .peer_known = true, .peer = geteuid() };
}

static void only_a_loopback_name_is_a_host(void **state)
{
    static const struct {
        const char *host;
        bool admitted;
    } cases[] = {
        { "localhost", true },
        { "LocalHost:8080", true },
        { "127.0.0.1", true },
        { "127.255.255.254:1", true },
        { "[::1]", true },
        { "[::1]:65535", true },
        { "[0:0:0:0:0:0:0:1]:80", true },
        { NULL, false },
        { "", false },
        { ":8080", false },
        { "evil.example", false },
        { "evil.example:8080", false },
        { "localhost.evil.example", false },
        { "localhost.", false },
        { "localhost:", false },
        { "localhost:0", false },
        { "localhost:65536", false },
        { "localhost:80@evil.example", false },
        { "127.0.0.1.evil.example", false },
        { "127.1", false },
        { "0177.0.0.1", false },
        { "2130706433", false },
        { "128.0.0.1", false },
        { "0.0.0.0:8080", false },
        { "::1", false },
        { "[::1", false },
        { "[::1]8080", false },
        { "[::1]:", false },
        { "[::2]", false },
        { "[::ffff:127.0.0.1]", false },
        { "[127.0.0.1]", false },
        { "[localhost]", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct open_caller caller = good();

        caller.host = str_from(cases[i].host);
        if (open_mode_admits(&caller, STARTER) != cases[i].admitted)
            fail_msg("%s", cases[i].host);
    }
    assert_false(loopback_host((struct str){ "127.0.0.1\0.evil.example", 23 }));
}

static void a_foreign_page_a_proxy_and_another_user_are_refused(void **state)
{
    struct open_caller caller = good();

    (void)state;
    assert_true(open_mode_admits(&caller, STARTER));
    caller.forwarded = true;
    assert_false(open_mode_admits(&caller, STARTER));
    caller = good();
    caller.peer_known = false;
    assert_false(open_mode_admits(&caller, STARTER));
    caller = good();
    caller.peer = STARTER;
    assert_true(open_mode_admits(&caller, STARTER));
    caller.peer = STARTER + 1;
    assert_false(open_mode_admits(&caller, STARTER));
}

static void an_origin_is_named_or_the_servers_own(void **state)
{
    static const struct {
        const char *origin;
        bool named, admitted;
    } cases[] = {
        { NULL, false, true },
        { "http://localhost:3000", true, true },
        { "http://127.0.0.1:8080", false, true }, /* the Host */
        { "http://127.0.0.1:9999", false, false },
        { "https://127.0.0.1:8080", false, false },
        { "http://evil.example", false, false },
        { "null", false, false },
        { "", false, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct open_caller caller = good();

        caller.origin = str_from(cases[i].origin);
        caller.origin_named = cases[i].named;
        if (open_mode_admits(&caller, STARTER) != cases[i].admitted)
            fail_msg("%s", cases[i].origin);
    }
}

static void load(const char *const *settings)
{
    static const char *const names[] = { "ARAGORA_OFFLINE", "ARAGORA_AUTH_REQUIRED",
                                         "ARAGORA_API_TOKEN", "ARAGORA_BIND_HOST",
                                         "ARAGORA_PRIVATE_OPEN_MODE" };
    const char *problem;

    for (size_t i = 0; i < COUNT(names); i++)
        if (settings[i])
            setenv(names[i], settings[i], 1);
        else
            unsetenv(names[i]);
    assert_int_equal(settings_load(&problem), OK);
}

static void a_grant_counts_only_where_the_settings_allow_it(void **state)
{
    static const struct {
        const char *settings[5]; /* as in load() */
        bool granted;
    } cases[] = {
        { { "true", NULL, NULL, NULL, "7" }, true },
        { { NULL, "false", NULL, NULL, "7" }, true },
        { { NULL, "false", NULL, "::1", "7" }, true },
        { { "true", NULL, NULL, "localhost", "7" }, true },
        { { "true", NULL, NULL, NULL, NULL }, false },
        { { NULL, NULL, NULL, NULL, "7" }, false },
        { { "true", "true", NULL, NULL, "7" }, false },
        { { "true", NULL, "a-token-of-the-server", NULL, "7" }, false },
        { { "true", NULL, NULL, "0.0.0.0", "7" }, false },
        { { NULL, "false", NULL, "::", "7" }, false },
        { { NULL, "false", NULL, "192.168.1.1", "7" }, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        uid_t starter = 0;

        load(cases[i].settings);
        if (open_mode_granted(&starter) != cases[i].granted ||
            starter != (cases[i].granted ? 7U : 0U))
            fail_msg("case %zu", i);
    }
}

static void an_origin_that_everybody_has_is_allowed_but_not_named(void **state)
{
    const char *problem;

    (void)state;
    setenv("ARAGORA_ALLOWED_ORIGINS", "http://a.example/, *", 1);
    assert_int_equal(settings_load(&problem), OK);
    assert_true(origin_allowed(STR("http://a.example")) && origin_named(STR("http://a.example")));
    assert_true(origin_allowed(STR("http://b.example")));
    assert_false(origin_named(STR("http://b.example")));
    assert_false(origin_allowed(STR("")) || origin_allowed(STR_NONE));
    unsetenv("ARAGORA_ALLOWED_ORIGINS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_loopback_name_is_a_host),
        cmocka_unit_test(a_foreign_page_a_proxy_and_another_user_are_refused),
        cmocka_unit_test(an_origin_is_named_or_the_servers_own),
        cmocka_unit_test(a_grant_counts_only_where_the_settings_allow_it),
        cmocka_unit_test(an_origin_that_everybody_has_is_allowed_but_not_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
