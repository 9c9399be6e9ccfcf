/* test_store.c - the database layer and the stores, on SQLite and on a real PostgreSQL. */
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/id.h"
#include "common/base/segment.h"
#include "common/db/migrate.h"
#include "common/store/apikey.h"
#include "common/store/debate.h"
#include "common/store/job.h"
#include "common/store/organization.h"
#include "tests/unit/databases.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void migrating_again_changes_nothing(void **state)
{
    int64_t applied = -1;

    (void)state;
    assert_int_equal(db_migrate(&applied, at.db), OK);
    assert_int_equal(applied, 0);
    assert_int_equal(db_migrated(at.db), OK);
}

static void set_oldest(const char *schema)
{
    assert_int_equal(db_run(NULL, db_system(at.db),
                            "UPDATE meta SET value = $1 WHERE key = 'oldest_schema'", BIND(schema)),
                     OK);
}

/* As a later release leaves it: with a step that we do not know (decision 54). */
static void a_newer_database_is_used_as_far_as_it_suits(void **state)
{
    int64_t applied = -1, known = 0;

    (void)state;
    while (migrations[known].name)
        known++;
    assert_int_equal(db_run(NULL, db_system(at.db),
                            "INSERT INTO schema_migrations (version, name, checksum, applied_at)"
                            " VALUES ($1, 'later', 'x', 0)",
                            BIND(known + 1)),
                     OK);
    set_oldest("1");
    assert_int_equal(db_migrated(at.db), OK);
    assert_int_equal(db_migrate(&applied, at.db), OK);
    assert_int_equal(applied, 0);
    set_oldest("1000");
    assert_int_equal(db_migrated(at.db), ERR_SCHEMA_OLD);
    assert_int_equal(db_migrate(&applied, at.db), ERR_SCHEMA_OLD);
    assert_int_equal(db_run(NULL, db_system(at.db),
                            "DELETE FROM schema_migrations WHERE version = $1", BIND(known + 1)),
                     OK);
    set_oldest("1");
}

/* Before any test that makes an organisation. */
static void only_others_than_the_built_in_owner_are_users(void **state)
{
    bool any = true;

    (void)state;
    assert_int_equal(organization_has_users(&any, at.db), OK);
    assert_false(any);
    (void)fresh_org();
    assert_int_equal(organization_has_users(&any, at.db), OK);
    assert_true(any);
}

static void a_debate_its_job_and_its_first_event_are_stored_together(void **state)
{
    struct str id;
    struct debate debate;
    struct list events;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    assert_int_equal(debate_find(&debate, at.db, id), OK);
    assert_true(str_is(debate.status, "queued"));
    assert_true(str_is(debate.agents.text, "[\"ann\",\"bob\"]"));
    assert_true(str_starts(debate.slug, STR("should-we-ship-friday-")));
    assert_int_equal(event_read(&events, at.db, id, 1, 10), OK);
    assert_int_equal(events.count, 1);
    assert_true(str_is(((struct event *)events.at)->type, "debate_start"));
    assert_int_equal(((struct event *)events.at)->seq, 1);
}

static void a_full_queue_refuses_and_stores_nothing(void **state)
{
    static struct debate_agent agents[] = { { STR("a"), STR("demo"), STR("proposer") } };
    struct debate_draft draft = { .task = STR("x"),
                                  .consensus = STR("majority"),
                                  .rounds = 1,
                                  .agents = { agents, 1 },
                                  .request = { STR("{}") } };
    struct str id;
    struct list list;
    int64_t total;

    (void)state;
    fresh_org();
    assert_int_equal(debate_create(&id, at.db, &draft, 0), ERR_CAPACITY);
    assert_int_equal(debate_list(&list, &total, at.db, &(struct debate_filter){ .limit = 10 }), OK);
    assert_int_equal(total, 0);
}

static void another_organisation_sees_no_debate(void **state)
{
    struct str id;
    struct debate debate;
    struct list list;
    int64_t total;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    fresh_org();
    assert_int_equal(debate_find(&debate, at.db, id), ERR_DEBATE_NOT_FOUND);
    assert_int_equal(debate_cancel(at.db, id, STR("no")), ERR_DEBATE_NOT_FOUND);
    assert_int_equal(event_read(&list, at.db, id, 1, 10), OK);
    assert_int_equal(list.count, 0);
    assert_int_equal(debate_list(&list, &total, at.db, &(struct debate_filter){ .limit = 10 }), OK);
    assert_int_equal(list.count, 0);
}

static enum result say(struct str loop, struct str agent)
{
    return event_append(
        NULL, at.db,
        &(struct event_draft){ .type = EVENT_agent_message, .loop_id = loop, .agent = agent });
}

static void seq_is_gapless_over_rollbacks_and_agents_count_their_own(void **state)
{
    struct str id;
    struct list events;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    for (int i = 0; i < 6; i++) {
        CLEANUP(tx_end) struct tx tx = { 0 };

        assert_int_equal(tx_begin(&tx, at.db), OK);
        assert_int_equal(say(id, i % 2 ? STR("bob") : STR("ann")), OK);
        if (i != 3) /* the fourth is rolled back */
            assert_int_equal(tx_commit(&tx), OK);
    }
    assert_int_equal(event_read(&events, at.db, id, 1, 100), OK);
    assert_int_equal(events.count, 6);
    const struct event *event = events.at;
    static const int64_t agent_seq[] = { 0, 1, 1, 2, 3, 2 };
    for (size_t i = 0; i < events.count; i++) {
        assert_int_equal(event[i].seq, i + 1);
        assert_int_equal(event[i].agent_seq, agent_seq[i]);
    }
}

static int heard;

static void hear(void *arg, struct str org_id, const struct event *event)
{
    (void)arg;
    (void)org_id;
    (void)event;
    heard++;
}

static void the_listener_hears_after_the_commit_only(void **state)
{
    struct str id;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    heard = 0;
    event_listen(hear, NULL);
    {
        CLEANUP(tx_end) struct tx tx = { 0 };

        assert_int_equal(tx_begin(&tx, at.db), OK);
        assert_int_equal(say(id, STR_NONE), OK);
    }
    assert_int_equal(heard, 0);
    {
        CLEANUP(tx_end) struct tx tx = { 0 };

        assert_int_equal(tx_begin(&tx, at.db), OK);
        assert_int_equal(say(id, STR_NONE), OK);
        assert_int_equal(heard, 0);
        assert_int_equal(tx_commit(&tx), OK);
    }
    event_listen(NULL, NULL);
    assert_int_equal(heard, 1);
}

/* Claims until the job of this debate comes up; the database is shared with other tests. */
static struct job claim(struct str debate, struct str runner)
{
    struct job job;

    do
        assert_int_equal(job_claim(&job, at.db, runner), OK);
    while (!str_eq(job.subject_id, debate));
    return job;
}

static void an_old_runner_can_write_nothing_once_another_has_the_job(void **state)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct str id;
    int64_t released;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    struct str first_runner = id_new(at.arena, "run_"), second_runner = id_new(at.arena, "run_");
    struct job first = claim(id, first_runner);
    assert_int_equal(job_renew(at.db, &first, first_runner), OK);
    assert_int_equal(job_release_runner(&released, at.db, first_runner), OK);
    assert_true(released >= 1);
    struct job second = claim(id, second_runner);
    assert_int_equal(second.fence, first.fence + 1);
    assert_int_equal(second.losses, 1);
    assert_int_equal(job_renew(at.db, &first, first_runner), ERR_LEASE_LOST);
    assert_int_equal(tx_begin(&tx, at.db), OK);
    assert_int_equal(job_fence(NULL, at.db, &first), ERR_LEASE_LOST);
    assert_int_equal(job_end(at.db, &first, STR("completed"), STR_NONE), ERR_LEASE_LOST);
    assert_int_equal(job_fence(NULL, at.db, &second), OK);
    assert_int_equal(job_end(at.db, &second, STR("completed"), STR_NONE), OK);
    assert_int_equal(job_end(at.db, &second, STR("failed"), STR_NONE), ERR_LEASE_LOST);
    assert_int_equal(tx_commit(&tx), OK);
}

static void a_done_step_clears_the_losses_and_stays_done(void **state)
{
    struct str id, runner;
    struct step step;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    runner = id_new(at.arena, "run_");
    struct job job = claim(id, runner);
    assert_int_equal(step_find(&step, at.db, &job, STR("0/proposal/ann")), ERR_NOT_FOUND);
    assert_int_equal(
        step_start(at.db, &job, STR("0/proposal/ann"), STR("ann"), STR("ann:proposal")), OK);
    assert_int_equal(step_flush(at.db, &job, STR("0/proposal/ann"), STR("so f"), 2), OK);
    assert_int_equal(job_release_runner(NULL, at.db, runner), OK);
    job = claim(id, runner);
    assert_int_equal(
        step_start(at.db, &job, STR("0/proposal/ann"), STR("ann"), STR("ann:proposal")), OK);
    assert_int_equal(step_done(at.db, &job, STR("0/proposal/ann"), STR("done"), STR("so far"),
                               (struct json_text){ STR("{}") }),
                     OK);
    assert_int_equal(step_flush(at.db, &job, STR("0/proposal/ann"), STR("late"), 9), OK);
    assert_int_equal(step_find(&step, at.db, &job, STR("0/proposal/ann")), OK);
    assert_int_equal(step.attempts, 2);
    assert_true(str_is(step.text, "so far"));
    assert_int_equal(job_release_runner(NULL, at.db, runner), OK);
    job = claim(id, runner);
    assert_int_equal(job.losses, 1); /* not 2: the step in between was new */
}

static void cancelling_ends_a_queued_debate_and_asks_a_running_one(void **state)
{
    struct str id, reason = STR_NONE;
    struct debate debate;
    struct list events;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    assert_int_equal(debate_cancel(at.db, id, STR("user_requested")), OK);
    assert_int_equal(debate_find(&debate, at.db, id), OK);
    assert_true(str_is(debate.status, "cancelled"));
    assert_int_equal(event_read(&events, at.db, id, 2, 10), OK);
    assert_int_equal(events.count, 1);
    assert_true(str_is(((struct event *)events.at)->type, "debate_end"));
    assert_int_equal(debate_cancel(at.db, id, STR("again")), ERR_NOT_CANCELLABLE);

    id = two_agents_debate("majority");
    struct job job = claim(id, id_new(at.arena, "run_"));
    assert_int_equal(debate_cancel(at.db, id, STR("user_requested")), OK);
    assert_int_equal(job_fence(&reason, at.db, &job), ERR_CANCELLED);
    assert_true(str_is(reason, "user_requested"));
}

static void a_job_that_is_given_back_waits_and_has_lost_nobody(void **state)
{
    struct debate debate;
    struct job job;

    (void)state;
    fresh_org();
    struct str id = two_agents_debate("majority"), runner = id_new(at.arena, "run_");
    for (int i = 0; i <= LOSSES_MAX; i++) {
        job = claim(id, runner);
        assert_int_equal(job.losses, 0);
        assert_int_equal(job_give_back(at.db, runner), OK);
    }
    assert_int_equal(job_fence(NULL, at.db, &job), ERR_LEASE_LOST);
    /* Its debate is under way, and yet has no runner that could end it. */
    assert_int_equal(loop_move(at.db, id, STR("queued"), STR("running"), false), OK);
    assert_int_equal(debate_cancel(at.db, id, STR("enough")), OK);
    assert_int_equal(debate_find(&debate, at.db, id), OK);
    assert_true(str_is(debate.status, "cancelled"));
}

static void a_key_names_its_holder_until_it_is_revoked(void **state)
{
    struct str org = id_new(at.arena, "org_"), user = id_new(at.arena, "user_"), key, gone;
    struct principal who;
    struct list keys;

    (void)state;
    assert_int_equal(organization_member(at.db, org, user, id_new(at.arena, "mail_"), ROLE_ANALYST),
                     OK);
    db_use(at.db, at.arena, org);
    assert_int_equal(apikey_create(&key, at.db, user, STR("laptop"),
                                   (struct json_text){ STR("[\"debates.*\"]") }, 0),
                     OK);
    assert_int_equal(
        apikey_create(&gone, at.db, user, STR("old"), (struct json_text){ STR("[]") }, 1), OK);
    assert_int_equal(
        apikey_create(&gone, at.db, STR("nobody"), STR("x"), (struct json_text){ STR("[]") }, 0),
        ERR_NOT_FOUND);
    assert_int_equal(apikey_find(&who, at.db, key), OK);
    assert_true(str_eq(who.org_id, org));
    assert_int_equal(who.role, ROLE_ANALYST);
    assert_true(principal_may(&who, STR("debates:read")));
    assert_false(principal_may(&who, STR("debates.create")));           /* not the role's */
    assert_false(principal_may(&who, STR("receipts.read")));            /* not the scope's */
    assert_int_equal(apikey_find(&who, at.db, gone), ERR_AUTH_INVALID); /* expired */
    assert_int_equal(apikey_find(&who, at.db, STR("ara_wrong-wrong-wrong")), ERR_AUTH_INVALID);
    assert_int_equal(apikey_list(&keys, at.db), OK);
    assert_int_equal(keys.count, 2);
    assert_int_equal(apikey_revoke(at.db, ((struct apikey *)keys.at)[0].key_id), OK);
    assert_int_equal(apikey_revoke(at.db, ((struct apikey *)keys.at)[0].key_id), ERR_NOT_FOUND);
    assert_int_equal(apikey_find(&who, at.db, key), ERR_AUTH_INVALID);
}

#define WRITERS 4
#define WRITES  50

static void *write_events(void *loop)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;

    if (db_open(&db, &at.config) != OK)
        return loop;
    for (int i = 0; i < WRITES; i++) {
        enum result result;

        do {
            CLEANUP(tx_end) struct tx tx = { 0 };

            db_use(db, arena, db_org(at.db));
            result = tx_begin(&tx, db);
            if (result == OK)
                result = event_append(NULL, db,
                                      &(struct event_draft){ .type = EVENT_round_start,
                                                             .loop_id = *(struct str *)loop });
            if (result == OK)
                result = tx_commit(&tx);
        } while (result == ERR_DATABASE_RETRY);
        if (result != OK)
            return loop;
    }
    return NULL;
}

static void writers_at_once_lose_and_repeat_no_number(void **state)
{
    struct str id;
    pthread_t threads[WRITERS];
    struct list events;
    void *failed;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_events, &id), 0);
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(event_read(&events, at.db, id, 1, 1000), OK);
    assert_int_equal(events.count, WRITERS * WRITES + 1);
    for (size_t i = 0; i < events.count; i++)
        assert_int_equal(((struct event *)events.at)[i].seq, i + 1);
}

static void a_killed_writer_leaves_nothing_behind_and_the_queue_goes_on(void **state)
{
    struct str id;
    struct list events;
    int ready[2];
    char byte;

    (void)state;
    fresh_org();
    id = two_agents_debate("majority");
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) { /* inside a transaction when it dies */
        struct db *db;
        struct tx tx = { 0 };
        struct arena *arena = arena_new();

        if (db_open(&db, &at.config) != OK)
            _exit(1);
        db_use(db, arena, db_org(at.db));
        if (tx_begin(&tx, db) != OK ||
            event_append(NULL, db, &(struct event_draft){ .type = EVENT_error, .loop_id = id }) !=
                OK ||
            write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);

    CLEANUP(tx_end) struct tx tx = { 0 };
    assert_int_equal(tx_begin(&tx, at.db), OK);
    assert_int_equal(say(id, STR("ann")), OK);
    assert_int_equal(tx_commit(&tx), OK);
    assert_int_equal(event_read(&events, at.db, id, 1, 10), OK);
    assert_int_equal(events.count, 2);
    assert_true(str_is(((struct event *)events.at)[1].type, "agent_message"));
}

static void a_statement_past_its_deadline_is_interrupted(void **state)
{
    int64_t from = monotonic_us();

    (void)state;
    db_deadline(at.db, monotonic_us() + 200 * US_PER_MS);
    enum result result = db_run(
        NULL, db_system(at.db),
        at.config.backend == DB_POSTGRES
            ? "SELECT pg_sleep(20)"
            : "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000)"
              " SELECT COUNT(*) FROM n",
        NO_BINDS);
    db_deadline(at.db, 0);
    assert_int_equal(result, ERR_TIMEOUT);
    assert_true(monotonic_us() - from < 10 * US_PER_S);
}

/* other holds what at.db then wants: the queue of writers, SQLite's lock, a row. */
static enum result wait_for_another(const struct db_config *config)
{
    static const char *const update = "UPDATE meta SET value = value WHERE key = 'oldest_schema'";
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *other = NULL;

    assert_int_equal(db_open(&other, config), OK);
    db_use(other, arena, ORG_DEFAULT);
    CLEANUP(tx_end) struct tx held = { 0 }, tx = { 0 };
    assert_int_equal(tx_begin(&held, other), OK);
    assert_int_equal(db_run(NULL, db_system(other), update, NO_BINDS), OK);
    db_deadline(at.db, monotonic_us() + 200 * US_PER_MS);
    enum result result = tx_begin(&tx, at.db);
    if (result == OK)
        result = db_run(NULL, db_system(at.db), update, NO_BINDS);
    db_deadline(at.db, 0);
    return result;
}

static void nobody_waits_for_another_past_the_deadline(void **state)
{
    struct db_config stranger = at.config;
    int64_t from = monotonic_us();

    (void)state;
    stranger.segment = NULL; /* as the sqlite3 shell, which does not queue */
    assert_int_equal(wait_for_another(&at.config), ERR_TIMEOUT);
    assert_int_equal(wait_for_another(&stranger), ERR_TIMEOUT);
    assert_true(monotonic_us() - from < 4 * US_PER_S);
}

struct number {
    int64_t value;
};

static const struct field number_row[] = { { FIELD(struct number, value) }, { 0 } };

/* Ends the session's backend from another one, and waits until it is gone. */
static void kill_backend(void)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *other = NULL;
    struct number pid, left = { 1 };

    assert_int_equal(db_one(&pid, db_system(at.db), number_row, ERR_INTERNAL,
                            "SELECT pg_backend_pid()", NO_BINDS),
                     OK);
    assert_int_equal(db_open(&other, &at.config), OK);
    db_use(other, arena, ORG_DEFAULT);
    assert_int_equal(
        db_one(&left, db_system(other), number_row, ERR_INTERNAL,
               "SELECT CAST(pg_terminate_backend(CAST($1 AS INTEGER), 10000) AS INTEGER)",
               BIND(pid.value)),
        OK);
    assert_int_equal(left.value, 1);
}

static void a_connection_lost_in_a_transaction_commits_nothing_of_it(void **state)
{
    struct str id;
    struct list events;

    (void)state;
    if (at.config.backend != DB_POSTGRES)
        skip();
    fresh_org();
    id = two_agents_debate("majority");
    {
        CLEANUP(tx_end) struct tx tx = { 0 };

        assert_int_equal(tx_begin(&tx, at.db), OK);
        assert_int_equal(say(id, STR("ann")), OK);
        kill_backend();
        assert_int_equal(say(id, STR("bob")), ERR_DATABASE_RETRY);
        /* A caller that goes on all the same must not get half of its work stored. */
        assert_int_equal(say(id, STR("cat")), ERR_DATABASE_RETRY);
        assert_int_equal(tx_commit(&tx), ERR_DATABASE_RETRY);
    }
    assert_int_equal(event_read(&events, at.db, id, 1, 10), OK);
    assert_int_equal(events.count, 1);
    kill_backend(); /* outside a transaction it heals by itself */
    assert_int_equal(event_read(&events, at.db, id, 1, 10), OK);
}

static enum result sleep_here(void)
{
    struct number slept;

    return db_one(&slept, db_system(at.db), number_row, ERR_INTERNAL,
                  at.config.backend == DB_POSTGRES
                      ? "SELECT CAST(1 AS BIGINT) FROM (SELECT pg_sleep(0.4)) AS nap"
                      : "SELECT 1",
                  NO_BINDS);
}

/* A rollback undoes SET too: a limit that was set before the transaction and lifted inside it
 * came back, and cut the next request. */
static void a_deadline_ends_with_its_request_also_after_a_rollback(void **state)
{
    bool postgres = at.config.backend == DB_POSTGRES;

    (void)state;
    db_deadline(at.db, monotonic_us() + 200 * US_PER_MS);
    assert_int_equal(sleep_here(), postgres ? ERR_TIMEOUT : OK);
    db_deadline(at.db, 0);
    {
        CLEANUP(tx_end) struct tx tx = { 0 };

        assert_int_equal(tx_begin(&tx, at.db), OK);
        assert_int_equal(sleep_here(), OK);
    }
    assert_int_equal(sleep_here(), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrating_again_changes_nothing),
        cmocka_unit_test(a_newer_database_is_used_as_far_as_it_suits),
        cmocka_unit_test(only_others_than_the_built_in_owner_are_users),
        cmocka_unit_test(a_debate_its_job_and_its_first_event_are_stored_together),
        cmocka_unit_test(a_full_queue_refuses_and_stores_nothing),
        cmocka_unit_test(another_organisation_sees_no_debate),
        cmocka_unit_test(seq_is_gapless_over_rollbacks_and_agents_count_their_own),
        cmocka_unit_test(the_listener_hears_after_the_commit_only),
        cmocka_unit_test(an_old_runner_can_write_nothing_once_another_has_the_job),
        cmocka_unit_test(a_done_step_clears_the_losses_and_stays_done),
        cmocka_unit_test(cancelling_ends_a_queued_debate_and_asks_a_running_one),
        cmocka_unit_test(a_job_that_is_given_back_waits_and_has_lost_nobody),
        cmocka_unit_test(a_key_names_its_holder_until_it_is_revoked),
        cmocka_unit_test(writers_at_once_lose_and_repeat_no_number),
        cmocka_unit_test(a_killed_writer_leaves_nothing_behind_and_the_queue_goes_on),
        cmocka_unit_test(a_statement_past_its_deadline_is_interrupted),
        cmocka_unit_test(nobody_waits_for_another_past_the_deadline),
        cmocka_unit_test(a_connection_lost_in_a_transaction_commits_nothing_of_it),
        cmocka_unit_test(a_deadline_ends_with_its_request_also_after_a_rollback),
    };

    int failed = cmocka_run_group_tests_name("SQLite", tests, open_sqlite, close_databases);
    return failed +
           cmocka_run_group_tests_name("PostgreSQL", tests, open_postgres, close_databases);
}
