/* test_address.c - addresses, networks, and whose request it is behind proxies. */
#include "common/auth/address.h"

#include "common/base/network.h"
#include "common/base/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PROXIES "127.0.0.1,localhost, 10.0.0.0/8, 2001:db8:1::/48, 192.0.2.7, 198.51.100.128/25"

static void a_network_is_an_address_and_bits(void **state)
{
    static const struct {
        const char *text, *address;
        bool good, holds;
    } cases[] = {
        { "10.0.0.0/8", "10.255.0.1", true, true },
        { "10.0.0.0/8", "11.0.0.0", true, false },
        { "10.0.0.0/8", "::ffff:10.0.0.1", true, true },
        { "198.51.100.128/25", "198.51.100.127", true, false },
        { "198.51.100.128/25", "198.51.100.128", true, true },
        { "0.0.0.0/0", "203.0.113.9", true, true },
        { "0.0.0.0/0", "2001:db8::1", true, false }, /* IPv4 only */
        { "::/0", "2001:db8::1", true, true },
        { "192.0.2.7", "192.0.2.7", true, true },
        { "192.0.2.7/32", "192.0.2.6", true, false },
        { "2001:db8::/33", "2001:db8:7fff::1", true, true },
        { "2001:db8::/33", "2001:db8:8000::1", true, false },
        { "::1", "::1", true, true },
        { "::ffff:10.0.0.0/104", "10.1.2.3", true, true },
        { "10.0.0.1/8", NULL, false, false }, /* bits behind the prefix */
        { "10.0.0.0/33", NULL, false, false },
        { "10.0.0.0/-1", NULL, false, false },
        { "10.0.0.0/", NULL, false, false },
        { "10.0.0.0/8/8", NULL, false, false },
        { "::/129", NULL, false, false },
        { "10.0.0", NULL, false, false },
        { "010.0.0.1", NULL, false, false },
        { "localhost", NULL, false, false },
        { "proxy.example", NULL, false, false },
        { "fe80::1%eth0", NULL, false, false },
        { "", NULL, false, false },
        { "1:2:3:4:5:6:7:8:9:1:2:3:4:5:6:7:8:9:1:2:3:4:5:6:7", NULL, false, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network;
        struct address address;

        assert_int_equal(network_parse(&network, str_from(cases[i].text)), cases[i].good);
        if (!cases[i].good)
            continue;
        assert_true(address_parse(&address, str_from(cases[i].address)));
        assert_int_equal(network_holds(&network, &address), cases[i].holds);
    }
}

static void the_client_is_whom_the_last_of_our_proxies_saw(void **state)
{
    static const struct {
        const char *peer, *forwarded, *client;
    } cases[] = {
        { "203.0.113.9", "198.51.100.1", "203.0.113.9" }, /* no proxy of ours */
        { "127.0.0.1", NULL, "127.0.0.1" },
        { "127.0.0.1", "", "127.0.0.1" },
        { "127.0.0.1", "203.0.113.9", "203.0.113.9" },
        { "10.9.9.9", "203.0.113.9", "203.0.113.9" },
        { "::ffff:10.9.9.9", "203.0.113.9", "203.0.113.9" },
        { "2001:db8:1:2::3", "203.0.113.9", "203.0.113.9" },
        { "2001:db8:2::3", "203.0.113.9", "2001:db8:2::3" },
        { "198.51.100.200", "203.0.113.9", "203.0.113.9" },
        { "198.51.100.100", "203.0.113.9", "198.51.100.100" },
        /* What stands left of the last stranger is its own word. */
        { "127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9" },
        { "127.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.2", "203.0.113.9" },
        { "127.0.0.1", "10.0.0.1, 10.0.0.2", "10.0.0.1" }, /* all ours */
        { "127.0.0.1", "203.0.113.9,,", "203.0.113.9" },
        { "127.0.0.1", "203.0.113.9:4711", "203.0.113.9" },
        { "127.0.0.1", "[2001:db8::9]:4711", "2001:db8::9" },
        { "127.0.0.1", "[2001:db8::9]", "2001:db8::9" },
        { "127.0.0.1", "2001:db8::9", "2001:db8::9" },
        /* What is no address hides who is behind it. */
        { "127.0.0.1", "1.1.1.1, unknown", "127.0.0.1" },
        { "127.0.0.1", "1.1.1.1, x\n, 10.0.0.2", "10.0.0.2" },
        { "", "1.1.1.1", "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(str_is(forwarded_address(str_from(cases[i].peer), str_from(cases[i].forwarded)),
                           cases[i].client));
}

static void an_ipv6_client_is_its_network(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        { "2001:db8::1", "2001:db8:0:0:ffff::2", true },
        { "2001:db8::1", "2001:db8:0:1::1", false },
        { "192.0.2.1", "192.0.2.2", false },
        { "::ffff:192.0.2.1", "192.0.2.1", true },
        { "", "", true },
        { "a:b", "a:c", false },
    };
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(str_eq(address_group(arena, str_from(cases[i].a)),
                                address_group(arena, str_from(cases[i].b))),
                         cases[i].same);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_is_an_address_and_bits),
        cmocka_unit_test(the_client_is_whom_the_last_of_our_proxies_saw),
        cmocka_unit_test(an_ipv6_client_is_its_network),
    };
    const char *problem;

    setting_override(SETTING_TRUSTED_PROXIES, PROXIES);
    if (settings_load(&problem) != OK) {
        fprintf(stderr, "%s\n", problem);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
