/* test_bus.c - news between processes: told, lost without harm, heard again after a restart. */
#include "common/base/clock.h"
#include "common/bus/bus.h"
#include "common/store/announce.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

#define LIMIT_US (10 * US_PER_S)

struct place {
    char directory[64], path[96];
};

static int make_place(void **state)
{
    static struct place place;

    snprintf(place.directory, sizeof(place.directory), "/tmp/aragora-bus-XXXXXX");
    if (!mkdtemp(place.directory))
        return -1;
    snprintf(place.path, sizeof(place.path), "%s/run", place.directory);
    *state = &place;
    return mkdir(place.path, 0700);
}

static int remove_place(void **state)
{
    static const char *const left[] = { "run/events", "run/events.lock",
                                        "run/jobs",   "run/jobs.lock",
                                        "run",        "" };
    struct place *place = *state;

    for (size_t i = 0; i < COUNT(left); i++) {
        snprintf(place->path, sizeof(place->path), "%s/%s", place->directory, left[i]);
        (void)remove(place->path);
    }
    return 0;
}

/* Waits as a program does: for the descriptor, and only then looks. */
static bool hear(struct bus *bus, struct str *head, struct str *body)
{
    struct pollfd readable = { bus_descriptor(bus), POLLIN, 0 };

    for (int64_t end = monotonic_us() + LIMIT_US; monotonic_us() < end;) {
        if (bus_receive(bus, head, body))
            return true;
        (void)poll(&readable, 1, 100);
    }
    return false;
}

static void publish_number(struct bus *bus, enum bus_port port, int number)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", number);
    bus_publish(bus, port, str_from(text), STR("body"));
}

/* Publishes 1, 2, 3 ... until it is killed. */
static pid_t publisher(const struct place *place)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid)
        return pid;
    struct bus *bus;
    if (bus_connect(&bus, place->directory) != OK)
        _exit(1);
    for (int i = 1;; i++) {
        publish_number(bus, BUS_STREAM, i);
        publish_number(bus, BUS_JOBS, -i);
        usleep(1000);
    }
}

static void end_process(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int64_t hear_number(struct bus *bus)
{
    struct str head, body;
    int64_t number;

    assert_true(hear(bus, &head, &body));
    assert_true(str_is(body, "body"));
    assert_true(str_int(&number, head, INT64_MIN, INT64_MAX));
    return number;
}

static void another_process_is_heard_in_order_and_by_its_port_only(void **state)
{
    const struct place *place = *state;
    struct bus *events, *jobs;
    pid_t pid = publisher(place); /* first: a fork does not take a receiver's threads along */

    assert_int_equal(bus_bind(&events, place->directory, BUS_STREAM), OK);
    assert_int_equal(bus_bind(&jobs, place->directory, BUS_JOBS), OK);
    int64_t first = hear_number(events);
    for (int64_t i = 1; i < 100; i++)
        assert_int_equal(hear_number(events), first + i);
    assert_true(hear_number(jobs) < 0);
    end_process(pid);
    bus_close(events);
    bus_close(jobs);
}

static void a_receiver_that_went_misses_news_and_its_follower_hears_on(void **state)
{
    const struct place *place = *state;
    struct bus *bus;
    pid_t pid = publisher(place); /* nobody is there: it goes on all the same */
    int64_t last = 0;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(bus_bind(&bus, place->directory, BUS_STREAM), OK);
        int64_t number = hear_number(bus);
        assert_true(number > last);
        last = hear_number(bus);
        assert_int_equal(last, number + 1);
        bus_close(bus);
    }
    end_process(pid);
}

static void a_port_has_one_receiver_and_a_dead_one_leaves_it(void **state)
{
    const struct place *place = *state;
    struct bus *bus = NULL, *second = NULL;
    int ready[2];
    char byte;

    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        bool bound = bus_bind(&bus, place->directory, BUS_STREAM) == OK;
        (void)!write(ready[1], bound ? "y" : "n", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(bus_bind(&second, place->directory, BUS_STREAM), ERR_ALREADY_EXISTS);
    assert_null(second);
    end_process(pid);
    assert_int_equal(bus_bind(&second, place->directory, BUS_STREAM), OK);
    bus_close(second);
    close(ready[0]);
    close(ready[1]);
}

static void a_path_that_no_socket_can_have_is_refused(void **state)
{
    char directory[200];
    struct bus *bus = NULL;

    (void)state;
    memset(directory, 'x', sizeof(directory));
    directory[0] = '/';
    directory[sizeof(directory) - 1] = '\0';
    assert_int_equal(bus_bind(&bus, directory, BUS_STREAM), ERR_SYSTEM);
    assert_int_equal(bus_connect(&bus, directory), ERR_SYSTEM);
    assert_null(bus);
}

static void send_parts(void *socket, int count, const char *const *parts)
{
    for (int i = 0; i < count; i++)
        assert_true(zmq_send(socket, parts[i], strlen(parts[i]), i + 1 < count ? ZMQ_SNDMORE : 0) >=
                    0);
}

/* From a program of another version, say: it neither blocks nor is taken for something else. */
static void a_message_of_another_form_is_passed_over(void **state)
{
    static const char *const parts[] = { "events", "head", "body", "more", "yet more" };
    const struct place *place = *state;
    struct str head = STR_NONE, body = STR_NONE;
    char address[128];
    struct bus *bus;

    assert_int_equal(bus_bind(&bus, place->directory, BUS_STREAM), OK);
    void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PUB);
    snprintf(address, sizeof(address), "ipc://%s/run/events", place->directory);
    assert_int_equal(zmq_connect(socket, address), 0);
    do { /* until the subscription has come through; a burst would fill the queue, which drops */
        send_parts(socket, 3, (const char *const[]){ "events", "first", "" });
        usleep(1000);
    } while (!bus_receive(bus, &head, &body));
    send_parts(socket, 1, parts);
    send_parts(socket, 2, parts);
    send_parts(socket, 4, parts);
    send_parts(socket, 5, parts);
    send_parts(socket, 3, parts);
    while (str_is(head, "first"))
        assert_true(hear(bus, &head, &body));
    assert_true(str_is(head, "head") && str_is(body, "body"));
    assert_false(bus_receive(bus, &head, &body));
    zmq_close(socket);
    zmq_ctx_term(context);
    bus_close(bus);
}

static void the_head_of_an_event_is_read_back(void **state)
{
    struct announced read;

    (void)state;
    assert_true(announced_read(&read, STR("org\nloop\nvote\nann\nann:vote\n7\n3\n2")));
    assert_true(str_is(read.org_id, "org") && str_is(read.loop_id, "loop"));
    assert_true(str_is(read.type, "vote") && str_is(read.agent, "ann"));
    assert_true(str_is(read.task_id, "ann:vote"));
    assert_int_equal(read.seq, 7);
    assert_int_equal(read.agent_seq, 3);
    assert_int_equal(read.attempt, 2);
    assert_true(announced_read(&read, STR("org\nloop\ndebate_end\n\n\n8\n0\n0")));
    assert_int_equal(read.agent.len + read.task_id.len, 0);
}

static void a_head_of_another_form_is_refused(void **state)
{
    static const char *const heads[] = {
        "",
        "org\nloop\nvote\nann\ntask\n7\n3",
        "org\nloop\nvote\nann\ntask\n7\n3\n1\n4",
        "org\nloop\nvote\nann\ntask\n7\n3\n1\n",
        "org\nloop\nvote\nann\nb\ntask\n7\n3\n1",
        "org\nloop\nvote\nann\ntask\n-7\n3\n1",
        "org\nloop\nvote\nann\ntask\n7\n\n1",
        "org\nloop\nvote\nann\ntask\n7\n3\n",
        "org\nloop\nvote\nann\ntask\n7\n3\n-1",
        "org\nloop\nvote\nann\ntask\nseven\n3\n1",
        "org\nloop\nvote\nann\ntask\n9223372036854775808\n3\n1",
    };
    struct announced read = { .seq = 5 };

    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++)
        assert_false(announced_read(&read, str_from(heads[i])));
    assert_int_equal(read.seq, 5);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(another_process_is_heard_in_order_and_by_its_port_only),
        IN_PLACE(a_receiver_that_went_misses_news_and_its_follower_hears_on),
        IN_PLACE(a_port_has_one_receiver_and_a_dead_one_leaves_it),
        IN_PLACE(a_path_that_no_socket_can_have_is_refused),
        IN_PLACE(a_message_of_another_form_is_passed_over),
        cmocka_unit_test(the_head_of_an_event_is_read_back),
        cmocka_unit_test(a_head_of_another_form_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
