/* test_engine.c - a whole debate on SQLite, and the same debate cut after every write. */
#include "common/auth/principal.h"
#include "common/base/id.h"
#include "common/store/debate.h"
#include "debated/engine.h"
#include "tests/unit/databases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static struct receipt_signers signers;

static int open_engine(void **state)
{
    return open_sqlite(state) == 0 && receipt_signers_open(&signers, at.arena, at.db) == OK ? 0
                                                                                            : -1;
}

static struct str debate_by(struct debate_draft draft)
{
    struct str id;

    draft.task = STR("Should we ship the payment service on Friday?");
    draft.request.text = STR("{}");
    draft.is_demo = true;
    db_use(at.db, at.arena, ORG_DEFAULT);
    assert_int_equal(debate_create(&id, at.db, &draft, 1000), OK);
    return id;
}

static struct str debate_of(const struct debate_agent *agents, size_t count, int64_t rounds)
{
    return debate_by((struct debate_draft){
        .consensus = STR("majority"), .rounds = rounds, .agents = { (void *)agents, count } });
}

static struct str new_debate(void)
{
    static const struct debate_agent agents[] = {
        { STR("ann"), STR("demo"), STR("proposer") },
        { STR("bob"), STR("demo"), STR("critic") },
        { STR("cleo"), STR("demo"), STR("synthesizer") },
    };

    return debate_of(agents, COUNT(agents), 2);
}

static struct str judged_debate(const char *selection)
{
    static const struct debate_agent judges[] = {
        { STR("ann"), STR("demo"), STR("synthesizer") },
        { STR("bob"), STR("demo"), STR("critic") },
        { STR("cleo"), STR("demo"), STR("proposer") },
    };

    return debate_by((struct debate_draft){ .consensus = STR("judge"),
                                            .judge_selection = str_from(selection),
                                            .rounds = 2,
                                            .agents = { (void *)judges, COUNT(judges) } });
}

static const struct engine_options at_once = { .limit_us = 900 * US_PER_S, .signers = &signers };

static enum result claim_and_run(const struct engine_options *options)
{
    struct job job;

    db_use(at.db, at.arena, ORG_DEFAULT);
    assert_int_equal(job_claim(&job, at.db, STR("run_test")), OK);
    enum result result = engine_run(at.db, &job, options);
    db_use(at.db, at.arena, ORG_DEFAULT);
    return result;
}

struct row_count {
    int64_t value;
};

static const struct field count_row[] = { { FIELD(struct row_count, value) }, { 0 } };

static int64_t count_of(const char *sql, struct str id)
{
    struct row_count count;

    assert_int_equal(db_one(&count, at.db, count_row, ERR_NOT_FOUND, sql, BIND(id)), OK);
    return count.value;
}

static int64_t events_named(const struct list *events, const char *type)
{
    int64_t n = 0;

    for (size_t i = 0; i < events->count; i++)
        n += str_is(((const struct event *)events->at)[i].type, type);
    return n;
}

/* The demo key signed it, the debate names it, and the chain holds from its first entry on. */
static void assert_receipt(struct str id, const char *verdict)
{
    struct receipt_report report;
    struct receipt_row row;
    struct debate debate;
    struct str problem = STR("not looked at");

    assert_int_equal(debate_find(&debate, at.db, id), OK);
    assert_int_equal(receipt_find(&row, at.db, id), OK);
    assert_true(str_eq(debate.receipt_id, row.receipt_id));
    assert_true(str_is(row.verdict, verdict));
    receipt_verify(&report, at.arena, row.native, receipt_key_public(signers.demo));
    assert_int_equal(report.outcome, RECEIPT_VERIFIED);
    assert_true(report.is_demo);
    assert_int_equal(receipt_chain_check(&problem, at.db, &row), OK);
    assert_null(problem.at);
}

/* What must hold however often the debate was cut. */
static void assert_whole(struct str id, struct str answer)
{
    struct debate debate;
    struct list events;

    assert_int_equal(debate_find(&debate, at.db, id), OK);
    assert_true(str_is(debate.status, "completed"));
    assert_int_equal(debate.rounds_used, 2);
    assert_true(debate.completed_at.us && debate.started_at.us && debate.final_answer.len);
    if (answer.at)
        assert_true(str_eq(debate.final_answer, answer));
    int64_t judged = debate_rule_judges(debate.consensus_mode);
    assert_int_equal(event_read(&events, at.db, id, 1, 1000), OK);
    const struct event *event = events.at;
    for (size_t i = 0; i < events.count; i++)
        assert_int_equal(event[i].seq, i + 1);
    assert_true(str_is(event[0].type, "debate_start"));
    assert_true(str_is(event[events.count - 1].type, "receipt_generated"));
    assert_true(str_is(event[events.count - 2].type, "debate_end"));
    assert_true(str_is(event[events.count - 3].type, "consensus"));
    assert_receipt(id, "APPROVED");
    assert_int_equal(events_named(&events, "debate_end"), 1);
    assert_int_equal(events_named(&events, "round_start"), 2);
    assert_int_equal(events_named(&events, "critique"), 12);
    assert_int_equal(events_named(&events, "vote"), 3);
    assert_int_equal(events_named(&events, "agent_message"), 3 + 6 + 1 + judged);
    assert_int_equal(events_named(&events, "token_end"), 12 + 3 + 10 + judged);
    assert_int_equal(events_named(&events, "token_start"),
                     events_named(&events, "token_end") + events_named(&events, "token_discard"));
    assert_int_equal(count_of("SELECT COUNT(*) FROM debate_messages WHERE org_id = $1"
                              " AND debate_id = $2 AND is_partial = 0",
                              id),
                     3 + 6 + 1 + 12 + judged);
    assert_int_equal(count_of("SELECT COUNT(*) FROM debate_messages WHERE org_id = $1"
                              " AND debate_id = $2 AND role = 'judge' AND round = 3",
                              id),
                     judged);
    assert_int_equal(count_of("SELECT COUNT(*) FROM debate_critiques WHERE org_id = $1"
                              " AND debate_id = $2",
                              id),
                     12);
    assert_int_equal(count_of("SELECT COUNT(*) FROM debate_votes WHERE org_id = $1"
                              " AND debate_id = $2",
                              id),
                     3);
    assert_int_equal(count_of("SELECT COUNT(*) FROM jobs WHERE org_id = $1 AND subject_id = $2"
                              " AND status = 'completed'",
                              id),
                     1);
}

static struct str answer_of(struct str id)
{
    struct debate debate;

    assert_int_equal(debate_find(&debate, at.db, id), OK);
    return debate.final_answer;
}

/* The judge's words are the answer; who judges does not win by that. */
static void assert_judged(struct str id, const char *judge)
{
    struct debate debate;

    assert_int_equal(debate_find(&debate, at.db, id), OK);
    debate_read_result(&debate, at.arena);
    assert_true(str_is(debate.method, "judge"));
    assert_true(debate.consensus_reached && debate.confidence == 0.8);
    assert_int_equal(count_of("SELECT COUNT(*) FROM debates d JOIN debate_messages m"
                              " ON m.org_id = d.org_id AND m.debate_id = d.debate_id"
                              " WHERE d.org_id = $1 AND d.debate_id = $2 AND m.role = 'judge'"
                              " AND m.content = d.final_answer",
                              id),
                     1);
    assert_int_equal(count_of("SELECT COUNT(*) FROM debates d JOIN debate_votes v"
                              " ON v.org_id = d.org_id AND v.debate_id = d.debate_id"
                              " WHERE d.org_id = $1 AND d.debate_id = $2 AND v.choice = d.winner",
                              id),
                     3); /* all vote for one, who is not the judge */
    if (!judge)
        return;
    assert_false(str_is(debate.winner, judge));
    assert_true(str_eq(debate.metadata.text, arena_printf(at.arena, "{\"judge\":\"%s\"}", judge)));
}

static void a_judge_gives_the_answer_and_does_not_win_by_it(void **state)
{
    struct receipt_row row;
    struct str id = judged_debate("last");
    size_t place;

    (void)state;
    assert_int_equal(claim_and_run(&at_once), OK);
    assert_whole(id, STR_NONE);
    assert_judged(id, "ann");
    assert_int_equal(receipt_find(&row, at.db, id), OK);
    assert_true(str_find(&place, row.native, STR("\"consensus\":{\"judge\":\"ann\"")));
}

static void a_judged_debate_cut_after_any_write_asks_one_judge_once(void **state)
{
    static const char *const selections[] = { "last", "random" };

    (void)state;
    for (size_t i = 0; i < COUNT(selections); i++) {
        struct engine_options cut = at_once;
        enum result result = ERR_LEASE_LOST;

        for (cut.writes_left = 27; result == ERR_LEASE_LOST; cut.writes_left++) {
            struct str id = judged_debate(selections[i]);

            result = claim_and_run(&cut);
            if (result != OK) {
                assert_int_equal(result, ERR_LEASE_LOST);
                assert_int_equal(job_release_runner(NULL, at.db, STR("run_test")), OK);
                assert_int_equal(claim_and_run(&at_once), OK);
            }
            assert_whole(id, STR_NONE);
            assert_judged(id, i ? NULL : "ann");
        }
        assert_true(cut.writes_left > 34);
    }
}

static void a_debate_runs_to_its_end_without_a_gap(void **state)
{
    struct str id = new_debate();

    (void)state;
    assert_int_equal(claim_and_run(&at_once), OK);
    assert_whole(id, STR_NONE);
}

static void a_debate_cut_after_any_write_ends_the_same(void **state)
{
    struct engine_options cut = at_once;
    struct str id = new_debate(), answer;
    enum result result = ERR_LEASE_LOST;

    (void)state;
    assert_int_equal(claim_and_run(&at_once), OK);
    answer = answer_of(id);
    for (cut.writes_left = 1; result == ERR_LEASE_LOST; cut.writes_left++) {
        id = new_debate();
        result = claim_and_run(&cut);
        if (result != OK) {
            assert_int_equal(result, ERR_LEASE_LOST);
            assert_int_equal(job_release_runner(NULL, at.db, STR("run_test")), OK);
            assert_int_equal(claim_and_run(&at_once), OK);
        }
        assert_whole(id, answer);
    }
    assert_true(cut.writes_left > 30); /* every write of the debate was the last once */
}

static void a_debate_cut_again_and_again_still_ends(void **state)
{
    struct engine_options cut = at_once;
    struct str id = new_debate();
    enum result result;
    int runs = 0;

    (void)state;
    cut.writes_left = 2; /* a phase begins with one: some step is done each time */
    while ((result = claim_and_run(&cut)) == ERR_LEASE_LOST && runs++ < 100)
        assert_int_equal(job_release_runner(NULL, at.db, STR("run_test")), OK);
    assert_int_equal(result, OK);
    assert_whole(id, STR_NONE);
}

static void assert_ended(struct str id, const char *status)
{
    struct debate debate;
    struct list events;

    assert_int_equal(debate_find(&debate, at.db, id), OK);
    assert_string_equal(arena_cstr(at.arena, debate.status), status);
    assert_int_equal(event_read(&events, at.db, id, 1, 1000), OK);
    assert_int_equal(events_named(&events, "debate_end"), 1);
    size_t last = events.count - 1 - (size_t)events_named(&events, "receipt_generated");
    assert_true(str_is(((struct event *)events.at)[last].type, "debate_end"));
    assert_int_equal(count_of("SELECT COUNT(*) FROM jobs WHERE org_id = $1 AND subject_id = $2"
                              " AND ended_at IS NULL",
                              id),
                     0);
}

static void the_calls_of_a_phase_begin_in_one_transaction(void **state)
{
    struct engine_options cut = at_once;
    struct debate_agent agents[10];

    (void)state;
    for (size_t i = 0; i < COUNT(agents); i++)
        agents[i] = (struct debate_agent){ arena_printf(at.arena, "agent%zu", i), STR("demo"),
                                           STR("proposer") };
    struct str id = debate_of(agents, COUNT(agents), 1);
    /* The debate, all proposals begun and each made, the round; and the last is all critiques. */
    cut.writes_left = 1 + 1 + 10 + 1 + 1;
    assert_int_equal(claim_and_run(&cut), ERR_LEASE_LOST);
    assert_int_equal(count_of("SELECT COUNT(*) FROM job_steps s JOIN jobs j ON j.org_id = s.org_id"
                              " AND j.job_id = s.job_id WHERE j.org_id = $1 AND j.subject_id = $2"
                              " AND s.status = 'started'",
                              id),
                     10 * 9);
    assert_int_equal(job_release_runner(NULL, at.db, STR("run_test")), OK);
    assert_int_equal(claim_and_run(&at_once), OK);
    assert_ended(id, "completed");
}

static void a_cancelled_debate_stops_and_says_so(void **state)
{
    struct str id = new_debate();
    struct job job;

    (void)state;
    assert_int_equal(job_claim(&job, at.db, STR("run_test")), OK);
    assert_int_equal(debate_cancel(at.db, id, STR("enough")), OK);
    assert_int_equal(engine_run(at.db, &job, &at_once), OK);
    db_use(at.db, at.arena, ORG_DEFAULT);
    assert_ended(id, "cancelled");
}

static void a_debate_over_its_limit_keeps_its_partial_texts(void **state)
{
    struct engine_options slow = at_once;
    struct str id = new_debate();
    struct receipt_row row;
    size_t place;

    (void)state;
    slow.agents.demo_pause_us = 20000;
    slow.limit_us = 200000;
    assert_int_equal(claim_and_run(&slow), OK);
    assert_ended(id, "timeout");
    assert_receipt(id, "NEEDS_REVIEW");
    assert_int_equal(receipt_find(&row, at.db, id), OK);
    assert_true(
        str_find(&place, row.native,
                 STR("{\"agent\":\"cleo\",\"phase\":\"proposal\",\"reason\":\"timeout\"}")));
    assert_int_equal(count_of("SELECT COUNT(*) FROM debate_messages WHERE org_id = $1"
                              " AND debate_id = $2 AND is_partial = 1",
                              id),
                     3);
}

static void a_stopped_runner_leaves_the_debate_to_the_next(void **state)
{
    static atomic_bool stop = true;
    struct engine_options options = at_once;
    struct str id = new_debate();

    (void)state;
    options.stop = &stop;
    assert_int_equal(claim_and_run(&options), ERR_UNAVAILABLE);
    assert_int_equal(job_release_runner(NULL, at.db, STR("run_test")), OK);
    assert_int_equal(claim_and_run(&at_once), OK);
    assert_whole(id, STR_NONE);
}

static void a_debate_that_lost_too_many_runners_ends_as_an_error(void **state)
{
    struct str id = new_debate();
    struct job job;

    (void)state;
    for (int i = 0; i <= LOSSES_MAX; i++) {
        assert_int_equal(job_claim(&job, at.db, STR("run_test")), OK);
        assert_int_equal(job_release_runner(NULL, at.db, STR("run_test")), OK);
    }
    assert_true(job.losses >= LOSSES_MAX);
    assert_int_equal(engine_fail(at.db, &job, STR("Lost its runner too often")), OK);
    db_use(at.db, at.arena, ORG_DEFAULT);
    assert_ended(id, "error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_debate_runs_to_its_end_without_a_gap),
        cmocka_unit_test(a_debate_cut_after_any_write_ends_the_same),
        cmocka_unit_test(a_judge_gives_the_answer_and_does_not_win_by_it),
        cmocka_unit_test(a_judged_debate_cut_after_any_write_asks_one_judge_once),
        cmocka_unit_test(a_debate_cut_again_and_again_still_ends),
        cmocka_unit_test(the_calls_of_a_phase_begin_in_one_transaction),
        cmocka_unit_test(a_cancelled_debate_stops_and_says_so),
        cmocka_unit_test(a_debate_over_its_limit_keeps_its_partial_texts),
        cmocka_unit_test(a_stopped_runner_leaves_the_debate_to_the_next),
        cmocka_unit_test(a_debate_that_lost_too_many_runners_ends_as_an_error),
    };

    return cmocka_run_group_tests(tests, open_engine, close_databases);
}
