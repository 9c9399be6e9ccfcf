/* test_idempotency.c - kept answers on both databases, and the lock of a request under way. */
#include "common/auth/principal.h"
#include "common/base/clock.h"
#include "common/base/settings.h"
#include "common/store/debate.h"
#include "common/store/idempotency.h"
#include "tests/unit/databases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER ((struct bytes){ (const unsigned char *)"Status: 201\r\n\r\n{\0}", 18 })

static struct seal_key key;

static struct idempotency fresh(void)
{
    return (struct idempotency){ .org_id = fresh_org(),
                                 .principal = STR("ann"),
                                 .operation = STR("POST /api/v1/debates"),
                                 .key = STR("k-1"),
                                 .request = STR("digest") };
}

static enum result store(const struct idempotency *id, int64_t term_us)
{
    CLEANUP(tx_end) struct tx tx = { 0 };

    TRY(tx_begin(&tx, at.db));
    TRY(idempotency_store(at.db, id, &key, ANSWER, term_us));
    return tx_commit(&tx);
}

static enum result find(const struct idempotency *id)
{
    struct bytes answer;

    TRY(idempotency_find(&answer, at.db, id, &key));
    assert_int_equal(answer.len, ANSWER.len);
    assert_memory_equal(answer.at, ANSWER.at, ANSWER.len);
    return OK;
}

struct number {
    int64_t value;
};

static const struct field number_row[] = { { FIELD(struct number, value) }, { 0 } };

static int64_t count(const char *sql, struct str value)
{
    struct number number;

    assert_int_equal(db_one(&number, db_system(at.db), number_row, ERR_NOT_FOUND, sql, BIND(value)),
                     OK);
    return number.value;
}

static void an_answer_is_found_by_its_own_request_only(void **state)
{
    struct idempotency id = fresh(), other;

    (void)state;
    assert_int_equal(find(&id), ERR_NOT_FOUND);
    assert_int_equal(store(&id, IDEMPOTENCY_TERM_US), OK);
    assert_int_equal(find(&id), OK);
    other = id;
    other.request = STR("another digest");
    assert_int_equal(find(&other), ERR_IDEMPOTENCY_REUSED);
    other = id;
    other.org_id = fresh_org();
    assert_int_equal(find(&other), ERR_NOT_FOUND);
    other = id;
    other.principal = STR("bob");
    assert_int_equal(find(&other), ERR_NOT_FOUND);
    other = id;
    other.operation = STR("POST /api/v1/receipts");
    assert_int_equal(find(&other), ERR_NOT_FOUND);
    other = id;
    other.key = STR("K-1");
    assert_int_equal(find(&other), ERR_NOT_FOUND);
}

static void callers_without_an_organisation_have_keys_too(void **state)
{
    struct idempotency id = fresh();

    (void)state;
    id.org_id = STR("");
    id.key = id.principal = arena_printf(at.arena, "ip:%lld", (long long)monotonic_us());
    db_use(at.db, at.arena, STR_NONE);
    assert_int_equal(store(&id, IDEMPOTENCY_TERM_US), OK);
    assert_int_equal(find(&id), OK);
}

static void what_was_rolled_back_was_never_answered(void **state)
{
    struct idempotency id = fresh();
    struct tx tx = { 0 };

    (void)state;
    assert_int_equal(tx_begin(&tx, at.db), OK);
    (void)two_agents_debate("majority");
    assert_int_equal(idempotency_store(at.db, &id, &key, ANSWER, IDEMPOTENCY_TERM_US), OK);
    tx_end(&tx);
    assert_int_equal(find(&id), ERR_NOT_FOUND);
    assert_int_equal(count("SELECT COUNT(*) FROM debates WHERE org_id = $1", id.org_id), 0);
}

static void a_second_answer_undoes_what_it_tells_of(void **state)
{
    struct idempotency id = fresh();

    (void)state;
    assert_int_equal(store(&id, IDEMPOTENCY_TERM_US), OK);
    {
        CLEANUP(tx_end) struct tx tx = { 0 };

        assert_int_equal(tx_begin(&tx, at.db), OK);
        (void)two_agents_debate("majority");
        assert_int_equal(idempotency_store(at.db, &id, &key, ANSWER, IDEMPOTENCY_TERM_US),
                         ERR_DATABASE_RETRY);
    }
    assert_int_equal(find(&id), OK);
    assert_int_equal(count("SELECT COUNT(*) FROM debates WHERE org_id = $1", id.org_id), 0);
}

/* SQLite's writers queue before they begin; there the lock of the host tells. */
static void another_hosts_open_transaction_is_waited_for_and_told(void **state)
{
    struct idempotency id = fresh();
    struct db *other;
    struct tx theirs = { 0 };

    (void)state;
    if (at.config.backend != DB_POSTGRES)
        return;
    assert_int_equal(db_open(&other, &at.config), OK);
    db_use(other, at.arena, id.org_id);
    assert_int_equal(tx_begin(&theirs, other), OK);
    assert_int_equal(idempotency_store(other, &id, &key, ANSWER, IDEMPOTENCY_TERM_US), OK);
    db_deadline(at.db, monotonic_us() + 100 * US_PER_MS);
    assert_int_equal(store(&id, IDEMPOTENCY_TERM_US), ERR_IDEMPOTENCY_BUSY);
    db_deadline(at.db, 0);
    tx_end(&theirs);
    db_close(other);
    assert_int_equal(store(&id, IDEMPOTENCY_TERM_US), OK);
}

static void an_expired_key_is_free_and_its_row_goes(void **state)
{
    struct idempotency id = fresh();
    const struct idempotency first = id;

    (void)state;
    assert_int_equal(store(&id, -1), OK);
    assert_int_equal(find(&id), ERR_NOT_FOUND);
    id.request = STR("another digest");
    assert_int_equal(store(&id, IDEMPOTENCY_TERM_US), OK);
    assert_int_equal(find(&id), OK);
    assert_int_equal(find(&first), ERR_IDEMPOTENCY_REUSED);
    assert_int_equal(count("SELECT COUNT(*) FROM idempotency WHERE org_id = $1", id.org_id), 1);
}

#define EXPIRED "SELECT COUNT(*) FROM idempotency WHERE expires_at < 1000 AND org_id = $1"

static void a_new_row_removes_some_expired_ones_whose_ever_they_are(void **state)
{
    struct idempotency id = fresh(), other = fresh();

    (void)state;
    for (int i = 0; i < IDEMPOTENCY_SWEEP + 5; i++)
        assert_int_equal(db_run(NULL, db_system(at.db),
                                "INSERT INTO idempotency (org_id, principal, operation, key,"
                                " request, answer, expires_at) VALUES ($1, 'p', 'o', $2, 'r', $3,"
                                " 7)",
                                BIND(id.org_id, arena_int(at.arena, i), ANSWER)),
                         OK);
    assert_int_equal(store(&other, IDEMPOTENCY_TERM_US), OK);
    assert_int_equal(count(EXPIRED, id.org_id), 5);
    other.key = STR("k-2");
    assert_int_equal(store(&other, IDEMPOTENCY_TERM_US), OK);
    assert_int_equal(count(EXPIRED, id.org_id), 0);
    other.key = STR("k-1");
    assert_int_equal(find(&other), OK);
}

struct kept {
    struct bytes answer;
};

static const struct field kept_row[] = { { FIELD(struct kept, answer) }, { 0 } };

/* It may hold a secret that is shown once. */
static void an_answer_is_sealed_and_of_its_row_alone(void **state)
{
    struct idempotency id = fresh(), other;
    struct kept kept;

    (void)state;
    assert_int_equal(store(&id, IDEMPOTENCY_TERM_US), OK);
    assert_int_equal(db_one(&kept, at.db, kept_row, ERR_NOT_FOUND,
                            "SELECT answer FROM idempotency WHERE org_id = $1", NO_BINDS),
                     OK);
    assert_null(memmem(kept.answer.at, kept.answer.len, "Status", 6));
    other = id;
    other.principal = STR("bob");
    assert_int_equal(
        db_run(NULL, at.db, "UPDATE idempotency SET principal = 'bob' WHERE org_id = $1", NO_BINDS),
        OK);
    assert_int_equal(find(&other), ERR_KEY);
}

static void one_request_of_a_key_runs_at_a_time(void **state)
{
    struct idempotency id = fresh(), other = id;
    int first, second, third;

    (void)state;
    other.key = STR("k-2");
    assert_int_equal(idempotency_lock(&first, at.arena, &id, 0), OK);
    assert_int_equal(idempotency_lock(&second, at.arena, &id, 0), ERR_IDEMPOTENCY_BUSY);
    int64_t before_us = monotonic_us();
    assert_int_equal(idempotency_lock(&second, at.arena, &id, before_us + 20 * US_PER_MS),
                     ERR_IDEMPOTENCY_BUSY);
    assert_true(monotonic_us() >= before_us + 20 * US_PER_MS);
    assert_int_equal(idempotency_lock(&third, at.arena, &other, 0), OK);
    close(first);
    assert_int_equal(idempotency_lock(&second, at.arena, &id, 0), OK);
    close(second);
    close(third);
}

static int open_key(void)
{
    return idempotency_seal_key(&key, at.arena, at.db) == OK ? 0 : -1;
}

static int set_up_sqlite(void **state)
{
    return open_sqlite(state) == 0 ? open_key() : -1;
}

static int set_up_postgres(void **state)
{
    return open_postgres(state) == 0 ? open_key() : -1;
}

static int tear_down(void **state)
{
    (void)unlink(arena_cstr(at.arena, data_path(at.arena, "run/idempotency.lock")));
    (void)rmdir(arena_cstr(at.arena, data_path(at.arena, "run")));
    return close_databases(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_found_by_its_own_request_only),
        cmocka_unit_test(callers_without_an_organisation_have_keys_too),
        cmocka_unit_test(what_was_rolled_back_was_never_answered),
        cmocka_unit_test(a_second_answer_undoes_what_it_tells_of),
        cmocka_unit_test(another_hosts_open_transaction_is_waited_for_and_told),
        cmocka_unit_test(an_expired_key_is_free_and_its_row_goes),
        cmocka_unit_test(a_new_row_removes_some_expired_ones_whose_ever_they_are),
        cmocka_unit_test(an_answer_is_sealed_and_of_its_row_alone),
        cmocka_unit_test(one_request_of_a_key_runs_at_a_time),
    };
    int failed = cmocka_run_group_tests_name("sqlite", tests, set_up_sqlite, tear_down);

    return failed + cmocka_run_group_tests_name("postgres", tests, set_up_postgres, tear_down);
}
