/* test_receipt_erase.c - a debate is erased: no text is left, receipt and chain verify; on SQLite
 * and on PostgreSQL. */
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/id.h"
#include "common/store/debate.h"
#include "common/store/erasure.h"
#include "common/store/job.h"
#include "common/store/receipt_chain.h"
#include "common/store/receipts.h"
#include "common/store/transcript.h"
#include "tests/unit/databases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SECRET "zebrafinch" /* stands in every text, and in no name */

static struct receipt_signers signers;

static int open_with_keys(int (*open)(void **state), void **state)
{
    return open(state) == 0 && receipt_signers_open(&signers, at.arena, at.db) == OK ? 0 : -1;
}

static int open_sqlite_with_keys(void **state)
{
    return open_with_keys(open_sqlite, state);
}

static int open_postgres_with_keys(void **state)
{
    return open_with_keys(open_postgres, state);
}

static struct str debate_made(void)
{
    static struct debate_agent agents[] = {
        { STR("ann"), STR("demo"), STR("proposer") },
        { STR("bob"), STR("demo"), STR("critic") },
    };
    const struct debate_draft draft = { .task = STR("Ship the " SECRET " today?"),
                                        .context = STR("A " SECRET "."),
                                        .consensus = STR("majority"),
                                        .rounds = 1,
                                        .agents = { agents, COUNT(agents) },
                                        .request = { STR("{\"task\":\"" SECRET "\"}") },
                                        .premise = STR("But a " SECRET "."),
                                        .is_demo = true };
    struct str id;

    assert_int_equal(debate_create(&id, at.db, &draft, 1000), OK);
    return id;
}

static void say(struct str id)
{
    const struct transcript_message message = { .debate_id = id,
                                                .role = STR("proposer"),
                                                .agent = STR("ann"),
                                                .content = STR("The " SECRET " it is.") };
    const struct transcript_critique critique = { .debate_id = id,
                                                  .agent = STR("bob"),
                                                  .target = STR("ann"),
                                                  .reasoning = STR("A " SECRET "?"),
                                                  .issues = { STR("[\"" SECRET "\"]") },
                                                  .suggestions = { STR("[\"" SECRET "\"]") },
                                                  .round = 1,
                                                  .severity = 8 };
    const struct transcript_vote vote = { .debate_id = id,
                                          .agent = STR("bob"),
                                          .choice = STR("ann"),
                                          .reasoning = STR("For the " SECRET "."),
                                          .round = 1,
                                          .confidence = 1 };

    assert_int_equal(transcript_message_add(at.db, &message), OK);
    assert_int_equal(transcript_critique_add(at.db, &critique), OK);
    assert_int_equal(transcript_vote_add(at.db, &vote), OK);
}

struct told {
    struct str content;
};

static const struct field told_fields[] = { { FIELD(struct told, content) }, { 0 } };

static void end(struct str id, const struct job *job)
{
    const struct told told = { STR("A " SECRET) };
    const struct transcript_outcome outcome = { .strength = STR("strong"),
                                                .winner = STR("ann"),
                                                .final_answer = STR("The " SECRET "."),
                                                .error = STR("a " SECRET),
                                                .result = { STR("{\"a\":\"" SECRET "\"}") },
                                                .reached = true,
                                                .confidence = 1 };

    assert_int_equal(step_start(at.db, job, STR("0/proposal/ann"), STR("ann"), STR("task")), OK);
    assert_int_equal(step_done(at.db, job, STR("0/proposal/ann"), STR("done"), STR("A " SECRET),
                               (struct json_text){ STR("{\"a\":\"" SECRET "\"}") }),
                     OK);
    assert_int_equal(event_append(NULL, at.db,
                                  &(struct event_draft){ .type = EVENT_agent_message,
                                                         .loop_id = id,
                                                         .fields = told_fields,
                                                         .data = &told }),
                     OK);
    assert_int_equal(transcript_finished(at.db, id, &outcome), OK);
    assert_int_equal(loop_move(at.db, id, STR("queued"), STR("completed"), true), OK);
    assert_int_equal(job_end(at.db, job, STR("completed"), STR("a " SECRET)), OK);
}

static struct receipt_row receipt_made(struct str id)
{
    struct receipt_participant who = { STR("ann"), STR("demo"), STR_NONE };
    struct receipt_critique critique = { STR("ann"), STR("A " SECRET "!"), 8 };
    const struct receipt_facts facts = { .receipt_id = id_new(at.arena, "rcpt_"),
                                         .debate_id = id,
                                         .task = STR("Ship the " SECRET " today?"),
                                         .final_answer = STR("The " SECRET "."),
                                         .verdict = STR("APPROVED"),
                                         .confidence = 1,
                                         .consensus = { true, STR("majority"), STR("strong") },
                                         .participants = { &who, 1 },
                                         .is_demo = true,
                                         .reasoning = STR("All for the " SECRET "."),
                                         .critiques = { &critique, 1 } };
    struct receipt_row row;

    assert_int_equal(receipt_append(&row, at.db, &facts, &signers), OK);
    assert_int_equal(
        transcript_receipt(at.db, &(struct transcript_receipt){ id, row.receipt_id,
                                                                STR(SECRET "-1"), STR(SECRET) }),
        OK);
    return row;
}

/* A debate of the session's organisation that has ended, with a text wherever one can be. */
static struct receipt_row debate_ended(void)
{
    struct str id = debate_made();
    struct str org = db_org(at.db);
    struct receipt_row row;
    struct job job;

    assert_int_equal(job_claim(&job, at.db, STR("run_test")), OK);
    db_use(at.db, at.arena, org);
    say(id);
    CLEANUP(tx_end) struct tx tx = { 0 };
    assert_int_equal(tx_begin(&tx, at.db), OK);
    end(id, &job);
    row = receipt_made(id);
    assert_int_equal(tx_commit(&tx), OK);
    return row;
}

struct place {
    struct str table;
};

static const struct field place_row[] = { { FIELD(struct place, table) }, { 0 } };

/* Where the word stands: in a table's row; on SQLite in the bytes of a file. */
static struct str secret_place(void)
{
    static const char *const files[] = { "aragora.db", "aragora.db-wal" };
    struct place place = { STR_NONE };
    struct str bytes;
    size_t found;

    if (at.config.backend == DB_POSTGRES) {
        enum result result = db_one(
            &place, db_system(at.db), place_row, ERR_NOT_FOUND,
            "SELECT table_name::text FROM information_schema.tables"
            " WHERE table_schema = current_schema() AND query_to_xml(format('SELECT * FROM %I',"
            " table_name), true, false, '')::text LIKE $1",
            BIND(STR("%" SECRET "%")));
        assert_true(result == OK || result == ERR_NOT_FOUND);
        return place.table;
    }
    for (size_t i = 0; i < COUNT(files); i++) {
        struct str path = arena_printf(at.arena, "%s/%s", at.directory, files[i]);

        if (file_read(&bytes, at.arena, path, (size_t)1 << 30) == OK &&
            str_find(&found, bytes, STR(SECRET)))
            return str_from(files[i]);
    }
    return STR_NONE;
}

static void assert_verifies(const struct receipt_row *row)
{
    struct buf *file = arena_buf(at.arena);
    struct str problem = STR("not looked at");
    struct receipt_report report;
    struct chain_report chain;

    receipt_verify(&report, at.arena, row->native, receipt_key_public(signers.demo));
    assert_int_equal(report.outcome, RECEIPT_VERIFIED);
    assert_int_equal(receipt_chain_check(&problem, at.db, row), OK);
    assert_null(problem.at);
    assert_int_equal(receipt_chain_file(file, at.db), OK);
    chain_verify(&chain, at.arena, buf_view(file), row->digest, receipt_key_public(signers.demo));
    assert_int_equal(chain.outcome, RECEIPT_VERIFIED);
    assert_true(chain.anchored);
}

static void no_text_is_left_and_everything_verifies(void **state)
{
    struct receipt_row row, found;
    struct debate debate;
    struct list entries;
    struct str odr;
    size_t place;

    (void)state;
    (void)fresh_org();
    row = debate_ended();
    assert_non_null(secret_place().at);
    assert_int_equal(receipt_odr(&odr, at.db, row.receipt_id, ODR_0_2), OK);
    assert_true(str_find(&place, odr, STR(SECRET)));
    assert_verifies(&row);

    assert_int_equal(receipt_erase(at.db, row.debate_id), OK);
    struct str left = secret_place();
    if (left.at)
        fail_msg("the word is left in " STR_FMT, STR_ARG(left));
    for (enum odr_version version = 0; version < ODR_VERSIONS; version++)
        assert_int_equal(receipt_odr(&odr, at.db, row.receipt_id, version), ERR_ERASED);
    assert_int_equal(debate_find(&debate, at.db, row.debate_id), ERR_DEBATE_NOT_FOUND);
    assert_int_equal(receipt_find(&found, at.db, row.receipt_id), OK);
    assert_true(found.erased && !found.task.at && str_eq(found.native, row.native));
    assert_verifies(&found);
    assert_int_equal(receipt_chain_read(&entries, at.db, 1, 10), OK);
    assert_int_equal(entries.count, 1);
    struct str body = ((const struct chain_entry *)entries.at)->body;
    assert_true(str_find(&place, body, STR("\"kind\":\"erasure\"")));
    assert_true(str_find(&place, body, row.receipt_id) && str_find(&place, body, row.digest));
    assert_int_equal(receipt_erase(at.db, row.debate_id), ERR_ERASED);
}

static void only_an_ended_debate_of_the_organisation_is_erased(void **state)
{
    struct str org = fresh_org(), id = debate_made(), odr;
    struct receipt_row row = { 0 };

    (void)state;
    assert_int_equal(receipt_erase(at.db, id), ERR_CONFLICT);
    assert_int_equal(receipt_erase(at.db, STR("none")), ERR_DEBATE_NOT_FOUND);
    assert_int_equal(debate_cancel(at.db, id, STR("enough")), OK);
    row = debate_ended();
    (void)fresh_org();
    assert_int_equal(receipt_erase(at.db, row.debate_id), ERR_DEBATE_NOT_FOUND);
    db_use(at.db, at.arena, org);
    assert_int_equal(receipt_odr(&odr, at.db, row.receipt_id, ODR_0_2), OK);
    assert_int_equal(receipt_erase(at.db, row.debate_id), OK);
    /* One that decided nothing stands in no chain. */
    assert_int_equal(receipt_erase(at.db, id), OK);
    assert_null(secret_place().at);
    assert_verifies(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_text_is_left_and_everything_verifies),
        cmocka_unit_test(only_an_ended_debate_of_the_organisation_is_erased),
    };

    int failed =
        cmocka_run_group_tests_name("SQLite", tests, open_sqlite_with_keys, close_databases);
    return failed + cmocka_run_group_tests_name("PostgreSQL", tests, open_postgres_with_keys,
                                                close_databases);
}
