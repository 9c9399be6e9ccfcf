/* test_peer.c - the owner of the other end, told with real sockets. */
#include "common/auth/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STRANGER 65533 /* no account of anyone's */

struct pair {
    int listener, client, accepted;
    char client_text[INET6_ADDRSTRLEN], server_text[INET6_ADDRSTRLEN];
    struct peer peer; /* as the server sees it */
};

static const struct {
    const char *name;
    enum result (*uid)(uid_t *out, const struct peer *peer);
} ways[] = {
    { "peer_uid", peer_uid },
    { "peer_uid_asked", peer_uid_asked },
    { "peer_uid_listed", peer_uid_listed },
};

static int64_t name_end(char text[INET6_ADDRSTRLEN], const struct sockaddr_in6 *end)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)end;

    if (end->sin6_family == AF_INET6)
        assert_non_null(inet_ntop(AF_INET6, &end->sin6_addr, text, INET6_ADDRSTRLEN));
    else
        assert_non_null(inet_ntop(AF_INET, &four->sin_addr, text, INET6_ADDRSTRLEN));
    return ntohs(end->sin6_family == AF_INET6 ? end->sin6_port : four->sin_port);
}

static socklen_t loopback(struct sockaddr_in6 *out, const char *address, int family)
{
    struct sockaddr_in *four = (struct sockaddr_in *)out;

    memset(out, 0, sizeof(*out));
    out->sin6_family = (sa_family_t)family;
    if (family == AF_INET6)
        assert_int_equal(inet_pton(family, address, &out->sin6_addr), 1);
    else
        assert_int_equal(inet_pton(family, address, &four->sin_addr), 1);
    return family == AF_INET6 ? sizeof(*out) : sizeof(*four);
}

/* A connection that this process holds both ends of; the client's of family, at address. */
static void connect_pair(struct pair *out, int server_family, const char *server, int family,
                         const char *address)
{
    struct sockaddr_in6 at, to;
    socklen_t len = loopback(&at, server, server_family);

    out->listener = socket(server_family, SOCK_STREAM, 0);
    assert_int_equal(bind(out->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(out->listener, 5), 0);
    assert_int_equal(getsockname(out->listener, (struct sockaddr *)&at, &len), 0);
    len = loopback(&to, address, family);
    to.sin6_port = at.sin6_port; /* in the same place of both structs */
    out->client = socket(family, SOCK_STREAM, 0);
    assert_int_equal(connect(out->client, (struct sockaddr *)&to, len), 0);
    len = sizeof(to);
    out->accepted = accept(out->listener, (struct sockaddr *)&to, &len);
    assert_true(out->accepted >= 0);
    out->peer.port = name_end(out->client_text, &to);
    len = sizeof(at);
    assert_int_equal(getsockname(out->accepted, (struct sockaddr *)&at, &len), 0);
    out->peer.server_port = name_end(out->server_text, &at);
    out->peer.address = str_from(out->client_text);
    out->peer.server_address = str_from(out->server_text);
}

static void close_pair(struct pair *pair)
{
    close(pair->client);
    close(pair->accepted);
    close(pair->listener);
}

static void the_owner_is_found_whatever_the_family(void **state)
{
    static const struct {
        int server_family;
        const char *server;
        int family;
        const char *address;
    } cases[] = {
        { AF_INET, "127.0.0.1", AF_INET, "127.0.0.1" },
        { AF_INET, "127.0.0.5", AF_INET, "127.0.0.5" },
        { AF_INET6, "::1", AF_INET6, "::1" },
        { AF_INET6, "::", AF_INET, "127.0.0.1" }, /* the server sees ::ffff:127.0.0.1 */
        { AF_INET, "127.0.0.1", AF_INET6, "::ffff:127.0.0.1" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pair pair;

        connect_pair(&pair, cases[i].server_family, cases[i].server, cases[i].family,
                     cases[i].address);
        for (size_t w = 0; w < COUNT(ways); w++) {
            uid_t uid = STRANGER;

            if (ways[w].uid(&uid, &pair.peer) != OK || uid != geteuid())
                fail_msg("%s, case %zu", ways[w].name, i);
        }
        close_pair(&pair);
    }
}

static void what_is_no_established_connection_has_no_owner(void **state)
{
    struct pair pair;

    (void)state;
    connect_pair(&pair, AF_INET, "127.0.0.1", AF_INET, "127.0.0.1");
    struct peer cases[] = { pair.peer, pair.peer, pair.peer, pair.peer, pair.peer, pair.peer };
    cases[0].port = pair.peer.server_port; /* a listener is at this end */
    cases[1].server_port = pair.peer.port;
    cases[2].address = STR("127.0.0.2");
    cases[3].server_address = STR("127.0.0.2");
    cases[4].port = 0;
    cases[5].server_address = STR("::1");
    for (size_t w = 0; w < COUNT(ways); w++)
        for (size_t i = 0; i < COUNT(cases); i++) {
            uid_t uid = STRANGER;

            if (ways[w].uid(&uid, &cases[i]) == OK || uid != STRANGER)
                fail_msg("%s, case %zu", ways[w].name, i);
        }
    close_pair(&pair);
}

/* The kernel lists what was closed under user 0. */
static void a_closed_socket_has_no_owner(void **state)
{
    struct pair pair;

    (void)state;
    connect_pair(&pair, AF_INET, "127.0.0.1", AF_INET, "127.0.0.1");
    close(pair.client);
    for (size_t w = 0; w < COUNT(ways); w++) {
        uid_t uid = STRANGER;

        assert_int_not_equal(ways[w].uid(&uid, &pair.peer), OK);
        assert_int_equal(uid, STRANGER);
    }
    close(pair.accepted);
    close(pair.listener);
}

static void only_loopback_is_looked_up(void **state)
{
    static const char *const addresses[] = { "",          "10.0.0.1", "127.0.0",
                                             "127.1",     "::2",      "::ffff:10.0.0.1",
                                             "localhost", "0.0.0.0",  "127.0.0.1 " };

    (void)state;
    for (size_t w = 0; w < COUNT(ways); w++)
        for (size_t i = 0; i < COUNT(addresses); i++) {
            struct str address = str_from(addresses[i]);
            struct peer peer = { address, address, 40000, 40001 };
            uid_t uid;

            assert_int_equal(ways[w].uid(&uid, &peer), ERR_NOT_FOUND);
        }
}

/* A client of another user: holds its end until the other end is closed. */
static pid_t connect_as(uid_t uid, const struct sockaddr_in *to)
{
    pid_t child = fork();
    char byte;

    if (child != 0)
        return child;
    int fd = setuid(uid) == 0 ? socket(AF_INET, SOCK_STREAM, 0) : -1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        _exit(1);
    _exit(read(fd, &byte, 1) != 0);
}

static void another_user_is_told_apart(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int status;

    (void)state;
    if (geteuid() != 0)
        skip();
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 5), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    pid_t child = connect_as(STRANGER, &at);
    struct sockaddr_in from = { 0 };
    int accepted = accept(listener, (struct sockaddr *)&from, &len);
    struct peer peer = { STR("127.0.0.1"), STR("127.0.0.1"), ntohs(from.sin_port),
                         ntohs(at.sin_port) };
    for (size_t w = 0; w < COUNT(ways); w++) {
        uid_t uid = 0;

        assert_int_equal(ways[w].uid(&uid, &peer), OK);
        assert_int_equal(uid, STRANGER);
    }
    close(accepted);
    close(listener);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_owner_is_found_whatever_the_family),
        cmocka_unit_test(what_is_no_established_connection_has_no_owner),
        cmocka_unit_test(a_closed_socket_has_no_owner),
        cmocka_unit_test(only_loopback_is_looked_up),
        cmocka_unit_test(another_user_is_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
