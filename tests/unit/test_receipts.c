/* test_receipts.c - the store of receipts and its chain, on SQLite and on PostgreSQL. */
#include "common/base/crypto.h"
#include "common/base/id.h"
#include "common/base/settings.h"
#include "common/store/receipts.h"
#include "tests/unit/databases.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct receipt_row issue(const struct receipt_signers *signers, const char *debate)
{
    const struct receipt_participant who = { STR("ann"), STR("demo"), STR_NONE };
    const struct receipt_text said = { STR("message"), STR("ann"), 0,
                                       sha256_hex(at.arena, STR("We shall.")) };
    CLEANUP(tx_end) struct tx tx = { 0 };
    const struct receipt_facts facts = {
        .receipt_id = id_new(at.arena, "rcpt_"),
        .debate_id = str_from(debate),
        .task = STR("Shall we?"),
        .final_answer = STR("We shall."),
        .verdict = STR("APPROVED"),
        .confidence = 0.75,
        .consensus = { true, STR("majority"), STR("strong") },
        .participants = { (void *)&who, 1 },
        .texts = { (void *)&said, 1 },
        .is_demo = true,
    };
    struct receipt_row row;

    assert_int_equal(tx_begin(&tx, at.db), OK);
    assert_int_equal(receipt_append(&row, at.db, &facts, signers), OK);
    assert_int_equal(tx_commit(&tx), OK);
    return row;
}

static struct str chain_problem(const struct receipt_row *row)
{
    struct str problem = STR("not looked at");

    assert_int_equal(receipt_chain_check(&problem, at.db, row), OK);
    return problem;
}

/* As a new installation: no key file, and none known to the database. */
static void forget_keys(void)
{
    static const char *const files[] = { "keys/receipt.pem", "keys/demo-receipt.pem" };

    for (size_t i = 0; i < COUNT(files); i++)
        (void)remove(data_path(at.arena, files[i]).at);
    assert_int_equal(db_run(NULL, db_system(at.db),
                            "DELETE FROM meta WHERE key IN ('receipt_key', 'demo_receipt_key')",
                            NO_BINDS),
                     OK);
}

static void receipts_of_an_organisation_form_one_chain(void **state)
{
    struct receipt_signers signers;
    struct receipt_row first, second, other, found;
    struct list rows;
    int64_t total;

    (void)state;
    struct str org = fresh_org();
    assert_int_equal(receipt_signers_open(&signers, at.arena, at.db), OK);
    first = issue(&signers, "debate-1");
    second = issue(&signers, "debate-2");
    assert_int_equal(first.position, 1);
    assert_int_equal(second.position, 2);
    assert_null(chain_problem(&first).at);
    assert_null(chain_problem(&second).at);
    assert_int_equal(receipt_find(&found, at.db, STR("debate-2")), OK);
    assert_true(str_eq(found.native, second.native));
    assert_int_equal(receipt_list(&rows, &total, at.db, &(struct receipt_filter){ .limit = 1 }),
                     OK);
    assert_int_equal(total, 2);
    assert_int_equal(rows.count, 1);

    (void)fresh_org();
    other = issue(&signers, "debate-1"); /* another organisation's chain begins anew */
    assert_int_equal(other.position, 1);
    assert_int_equal(receipt_find(&found, at.db, first.receipt_id), ERR_RECEIPT_NOT_FOUND);

    db_use(at.db, at.arena, org);
    assert_int_equal(db_run(NULL, at.db,
                            "UPDATE receipt_chain SET hash = $2 WHERE org_id = $1 AND position = 1",
                            BIND(second.digest)),
                     OK);
    assert_non_null(chain_problem(&first).at);
    assert_non_null(chain_problem(&second).at);
}

static void a_lost_signing_key_is_refused_not_replaced(void **state)
{
    struct receipt_signers signers;
    struct receipt_public_key key;

    (void)state;
    (void)fresh_org();
    forget_keys();
    assert_int_equal(receipt_key_find(&key, at.db, STR_NONE), ERR_NOT_FOUND);
    assert_int_equal(receipt_signers_open(&signers, at.arena, at.db), OK);
    assert_int_equal(receipt_key_find(&key, at.db, STR_NONE), OK);
    assert_memory_equal(key.raw, receipt_key_public(signers.real)->raw, sizeof(key.raw));
    assert_int_equal(remove(data_path(at.arena, "keys/receipt.pem").at), 0);
    assert_int_equal(receipt_signers_open(&signers, at.arena, at.db), ERR_KEY);
    assert_int_equal(
        receipt_key_open(&signers.real, at.arena, data_path(at.arena, "keys/receipt.pem"), true),
        OK); /* another key in its place */
    assert_int_equal(receipt_signers_open(&signers, at.arena, at.db), ERR_KEY);
    forget_keys();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receipts_of_an_organisation_form_one_chain),
        cmocka_unit_test(a_lost_signing_key_is_refused_not_replaced),
    };

    int failed = cmocka_run_group_tests_name("SQLite", tests, open_sqlite, close_databases);
    return failed +
           cmocka_run_group_tests_name("PostgreSQL", tests, open_postgres, close_databases);
}
