/* test_attempt.c - the rows of providers' calls on both databases, and what is sealed in them. */
#include "common/base/crypto.h"
#include "common/base/settings.h"
#include "common/store/attempt.h"
#include "common/store/debate.h"
#include "tests/unit/databases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static struct attempt_vault vault;
static struct job job;

static struct str key_path(void)
{
    return data_path(at.arena, "keys/master.key");
}

/* A fresh organisation's debate with a job and one attempt in flight. */
static void begin(void)
{
    static struct debate_agent agents[] = {
        { .agent = STR("ann"), .provider = STR("ollama"), .role = STR("critic") },
        { .agent = STR("bob"), .provider = STR("ollama"), .role = STR("critic") },
    };
    struct debate_draft draft = { .task = STR("Ship?"),
                                  .consensus = STR("majority"),
                                  .rounds = 1,
                                  .agents = { agents, COUNT(agents) },
                                  .request = { STR("{}") } };
    struct str id;

    (void)fresh_org();
    assert_int_equal(debate_create(&id, at.db, &draft, 1000000), OK);
    do
        assert_int_equal(job_claim(&job, at.db, STR("run_test")), OK);
    while (!str_eq(job.subject_id, id));
    db_use(at.db, at.arena, job.org_id);
    assert_int_equal(step_start(at.db, &job, STR("0/proposal/ann"), STR("ann"), STR("t")), OK);
    assert_int_equal(attempt_begin(at.db, &job,
                                   &(struct attempt_draft){ .attempt_id = STR("att_1"),
                                                            .step = STR("0/proposal/ann"),
                                                            .provider = STR("ollama"),
                                                            .model = STR("m"),
                                                            .request_digest = STR("d"),
                                                            .tokens_in = 100,
                                                            .tokens_out = 4096,
                                                            .worst_micro_usd = 77 }),
                     OK);
}

struct row {
    struct str outcome;
    int64_t cost, tokens, estimated, ended;
};

static const struct field row_fields[] = {
    { FIELD(struct row, outcome) },   { FIELD(struct row, cost) },  { FIELD(struct row, tokens) },
    { FIELD(struct row, estimated) }, { FIELD(struct row, ended) }, { 0 },
};

static struct row row_of(const char *attempt)
{
    struct row row;

    assert_int_equal(db_one(&row, at.db, row_fields, ERR_NOT_FOUND,
                            "SELECT outcome, cost_micro_usd, tokens_out, estimated, ended_at"
                            " FROM provider_attempts WHERE org_id = $1 AND attempt_id = $2",
                            BIND(attempt)),
                     OK);
    return row;
}

static const struct attempt_end used = { .outcome = "used",
                                         .attempt_id = { "att_1", 5 },
                                         .model_served = { "m", 1 },
                                         .request_digest = { "d", 1 },
                                         .tokens_in = 90,
                                         .tokens_out = 20,
                                         .cost_micro_usd = INT_NONE,
                                         .reply = { "data: what came\n\n", 17 } };

static void an_attempt_stands_at_its_worst_until_it_is_settled(void **state)
{
    (void)state;
    begin();
    struct row row = row_of("att_1");
    assert_true(str_is(row.outcome, "in_flight"));
    assert_true(row.tokens == 4096 && row.estimated && row.ended == INT_NONE);
    assert_int_equal(attempt_end(at.db, &used, &vault), OK);
    row = row_of("att_1");
    assert_true(str_is(row.outcome, "used"));
    assert_true(row.tokens == 20 && !row.estimated && row.ended != INT_NONE);
    assert_true(row.cost == INT_NONE);
    assert_int_equal(attempt_lose(at.db, &job, STR_NONE), OK); /* what is settled stays */
    assert_true(str_is(row_of("att_1").outcome, "used"));
}

static void a_lost_attempt_is_booked_at_its_worst(void **state)
{
    struct row totals;

    (void)state;
    begin();
    assert_int_equal(attempt_lose(at.db, &job, STR("another step")), OK);
    assert_true(str_is(row_of("att_1").outcome, "in_flight"));
    assert_int_equal(attempt_lose(at.db, &job, STR("0/proposal/ann")), OK);
    struct row row = row_of("att_1");
    assert_true(str_is(row.outcome, "lost"));
    assert_true(row.cost == 77 && row.estimated && row.tokens == 4096 && row.ended != INT_NONE);
    assert_int_equal(attempt_total(at.db, &job), OK);
    assert_int_equal(db_one(&totals, at.db, row_fields, ERR_NOT_FOUND,
                            "SELECT slug, total_cost_micro_usd, total_tokens, 0, 0 FROM debates"
                            " WHERE org_id = $1 AND debate_id = $2",
                            BIND(job.subject_id)),
                     OK);
    assert_true(totals.cost == 77 && totals.tokens == 4196);
}

static void a_reply_opens_for_its_own_row_and_organisation_only(void **state)
{
    struct attempt_vault other = vault, off = vault;
    struct str reply;

    (void)state;
    begin();
    assert_int_equal(attempt_end(at.db, &used, &vault), OK);
    assert_int_equal(attempt_reply(&reply, at.db, STR("att_1"), &vault), OK);
    assert_true(str_eq(reply, used.reply));
    other.key.bytes[0] ^= 1;
    assert_int_equal(attempt_reply(&reply, at.db, STR("att_1"), &other), ERR_KEY);
    assert_int_equal(db_run(NULL, at.db,
                            "UPDATE provider_attempts SET attempt_id = 'att_2'"
                            " WHERE org_id = $1 AND attempt_id = 'att_1'",
                            NO_BINDS),
                     OK);
    assert_int_equal(attempt_reply(&reply, at.db, STR("att_2"), &vault), ERR_KEY);
    begin();
    assert_int_equal(attempt_reply(&reply, at.db, STR("att_2"), &vault), ERR_NOT_FOUND);
    off.keeps = false;
    assert_int_equal(attempt_end(at.db, &used, &off), OK);
    assert_int_equal(attempt_reply(&reply, at.db, STR("att_1"), &vault), ERR_NOT_FOUND);
}

static void a_reply_goes_after_its_term_and_not_before(void **state)
{
    const int64_t day = 86400 * US_PER_S;
    struct str reply;
    int64_t removed;

    (void)state;
    begin();
    assert_int_equal(attempt_expire(&removed, at.db, 0, 1000), OK); /* of the other tests */
    assert_int_equal(attempt_end(at.db, &used, &vault), OK);
    assert_int_equal(attempt_expire(&removed, at.db, day, 1000), OK);
    assert_int_equal(removed, 0);
    assert_int_equal(db_run(NULL, at.db,
                            "UPDATE provider_attempts SET ended_at = ended_at - $2"
                            " WHERE org_id = $1 AND attempt_id = 'att_1'",
                            BIND(2 * day)),
                     OK);
    assert_int_equal(attempt_reply(&reply, at.db, STR("att_1"), &vault), OK);
    assert_int_equal(attempt_expire(&removed, at.db, day, 1000), OK);
    assert_int_equal(removed, 1);
    assert_int_equal(attempt_reply(&reply, at.db, STR("att_1"), &vault), ERR_NOT_FOUND);
    assert_true(str_is(row_of("att_1").outcome, "used"));
    assert_int_equal(attempt_expire(&removed, at.db, day, 1000), OK);
    assert_int_equal(removed, 0);
}

static void what_was_sealed_opens_unchanged_only(void **state)
{
    static const unsigned char text[] = "to be kept";
    struct seal_key key = { { 7 } };
    struct bytes plain = { text, sizeof(text) }, opened;

    (void)state;
    struct bytes sealed = seal(at.arena, &key, STR("row"), plain);
    assert_int_equal(seal_open(&opened, at.arena, &key, STR("row"), sealed), OK);
    assert_true(opened.len == plain.len && memcmp(opened.at, text, plain.len) == 0);
    assert_int_equal(seal_open(&opened, at.arena, &key, STR("other"), sealed), ERR_KEY);
    for (size_t i = 0; i < sealed.len; i++) {
        ((unsigned char *)sealed.at)[i] ^= 1;
        assert_int_equal(seal_open(&opened, at.arena, &key, STR("row"), sealed), ERR_KEY);
        ((unsigned char *)sealed.at)[i] ^= 1;
        assert_int_equal(
            seal_open(&opened, at.arena, &key, STR("row"), (struct bytes){ sealed.at, i }),
            ERR_KEY);
    }
}

static void a_missing_or_other_master_key_refuses(void **state)
{
    struct str path = key_path(), aside = data_path(at.arena, "aside");
    struct attempt_vault again;

    (void)state;
    assert_int_equal(attempt_vault_open(&again, at.arena, at.db), OK);
    assert_memory_equal(&again.key, &vault.key, sizeof(vault.key));
    assert_int_equal(rename(path.at, aside.at), 0);
    assert_int_equal(attempt_vault_open(&again, at.arena, at.db), ERR_KEY);
    assert_int_equal(access(path.at, F_OK), -1); /* nor is a new one made */
    assert_int_equal(symlink("/dev/null", path.at), 0);
    assert_int_not_equal(attempt_vault_open(&again, at.arena, at.db), OK);
    assert_int_equal(unlink(path.at), 0);
    assert_int_equal(rename(aside.at, path.at), 0);
    assert_int_equal(attempt_vault_open(&again, at.arena, at.db), OK);
}

static int open_vault(void **state)
{
    (void)state;
    db_use(at.db, at.arena, STR_NONE);
    return attempt_vault_open(&vault, at.arena, at.db) == OK ? 0 : -1;
}

static int sqlite(void **state)
{
    return open_sqlite(state) == 0 ? open_vault(state) : -1;
}

static int postgres(void **state)
{
    return open_postgres(state) == 0 ? open_vault(state) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_stands_at_its_worst_until_it_is_settled),
        cmocka_unit_test(a_lost_attempt_is_booked_at_its_worst),
        cmocka_unit_test(a_reply_opens_for_its_own_row_and_organisation_only),
        cmocka_unit_test(a_reply_goes_after_its_term_and_not_before),
        cmocka_unit_test(what_was_sealed_opens_unchanged_only),
        cmocka_unit_test(a_missing_or_other_master_key_refuses),
    };
    int failed = cmocka_run_group_tests_name("SQLite", tests, sqlite, close_databases);

    return failed + cmocka_run_group_tests_name("PostgreSQL", tests, postgres, close_databases);
}
