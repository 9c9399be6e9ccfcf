/* test_fork.c - forks at every step and replays from stored replies, on SQLite and PostgreSQL. */
#include "common/base/buf.h"
#include "common/store/debate.h"
#include "common/store/erasure.h"
#include "common/store/fork.h"
#include "common/store/receipts.h"
#include "debated/engine.h"
#include "tests/unit/databases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct receipt_signers signers;
static struct attempt_vault vault;
static struct engine_options at_once = { .limit_us = 900 * US_PER_S,
                                         .signers = &signers,
                                         .agents.vault = &vault };

static int open_keys(int (*open)(void **state), void **state)
{
    if (open(state) != 0 || receipt_signers_open(&signers, at.arena, at.db) != OK)
        return -1;
    return attempt_vault_open(&vault, at.arena, at.db) == OK ? 0 : -1;
}

static int sqlite(void **state)
{
    return open_keys(open_sqlite, state);
}

static int postgres(void **state)
{
    return open_keys(open_postgres, state);
}

/* --- Debates ----------------------------------------------------------------------------- */

static enum result run_once(struct str id, const struct engine_options *options)
{
    struct str org = arena_str(at.arena, db_org(at.db));
    struct job job;

    assert_int_equal(job_claim(&job, at.db, STR("run_test")), OK);
    assert_true(str_eq(job.subject_id, id));
    enum result result = engine_run(at.db, &job, options);
    db_use(at.db, at.arena, org);
    return result;
}

static void finish(struct str id)
{
    assert_int_equal(run_once(id, &at_once), OK);
}

/* Two agents over two rounds, in a new organisation, to its end. */
static struct str ended_debate(const char *rule)
{
    (void)fresh_org();
    struct str id = two_agents_debate(rule);

    finish(id);
    return id;
}

static struct debate debate_of(struct str id)
{
    struct debate debate;

    assert_int_equal(debate_find(&debate, at.db, id), OK);
    return debate;
}

static struct list steps_of(struct str id)
{
    struct list steps;

    assert_int_equal(debate_steps(&steps, at.db, id), OK);
    return steps;
}

static const struct debate_step *step_at(struct list steps, size_t i)
{
    return (const struct debate_step *)steps.at + i;
}

static struct list messages_of(struct str id)
{
    struct list messages;
    int64_t total;

    assert_int_equal(debate_messages(&messages, &total, at.db, id, 1000, 0), OK);
    return messages;
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

/* Both say the same, step by step. */
static void assert_same(struct str id, struct str other_id)
{
    struct debate one = debate_of(id), other = debate_of(other_id);
    struct list steps = steps_of(id), others = steps_of(other_id);

    assert_int_equal(steps.count, others.count);
    for (size_t i = 0; i < steps.count; i++) {
        size_t k = 0;

        while (k < others.count && !str_eq(step_at(others, k)->step, step_at(steps, i)->step))
            k++;
        assert_true(k < others.count);
        assert_true(str_eq(step_at(others, k)->status, step_at(steps, i)->status));
        assert_true(str_eq(step_at(others, k)->text, step_at(steps, i)->text));
    }
    assert_int_equal(messages_of(id).count, messages_of(other_id).count);
    assert_true(str_eq(one.status, other.status) && str_eq(one.winner, other.winner));
    assert_true(str_eq(one.final_answer, other.final_answer));
    assert_int_equal(one.rounds_used, other.rounds_used);
}

/* Gapless, and each kind of event as often as in the other's journal. */
static void assert_journal(struct str id, struct str other_id)
{
    static const char *const kinds[] = { "debate_start", "round_start", "agent_message",
                                         "critique",     "vote",        "synthesis",
                                         "consensus",    "debate_end" };
    struct list events, others;

    assert_int_equal(event_read(&events, at.db, id, 1, 1000), OK);
    assert_int_equal(event_read(&others, at.db, other_id, 1, 1000), OK);
    for (size_t k = 0; k < COUNT(kinds); k++) {
        int balance = 0;

        for (size_t i = 0; i < events.count; i++)
            balance += str_is(((const struct event *)events.at)[i].type, kinds[k]);
        for (size_t i = 0; i < others.count; i++)
            balance -= str_is(((const struct event *)others.at)[i].type, kinds[k]);
        assert_int_equal(balance, 0);
    }
    for (size_t i = 0; i < events.count; i++)
        assert_int_equal(((const struct event *)events.at)[i].seq, i + 1);
    assert_int_equal(debate_of(id).last_seq, events.count);
}

static struct fork_draft draft_at(struct str id, struct str step)
{
    return (struct fork_draft){ .parent_id = id, .step = step, .rounds = INT_NONE };
}

static struct fork fork_of(const struct fork_draft *draft)
{
    struct fork fork;

    assert_int_equal(debate_fork(&fork, at.db, draft, 1000), OK);
    return fork;
}

/* --- Forks ------------------------------------------------------------------------------- */

static void steps_stand_in_the_order_of_the_debate(void **state)
{
    static const char *const phases[] = {
        "0/proposal/",   "0/proposal/", "1/start",     "1/critique/", "1/critique/", "1/revision/",
        "1/revision/",   "2/start",     "2/critique/", "2/critique/", "2/revision/", "2/revision/",
        "2/convergence", "2/vote/",     "2/vote/",     "2/synthesis/"
    };
    struct str id = ended_debate("majority");

    (void)state;
    /* A clock that went back while it ran. */
    assert_int_equal(db_run(NULL, at.db,
                            "UPDATE job_steps SET updated_at = 9000000000000000 - updated_at"
                            " WHERE org_id = $1",
                            NO_BINDS),
                     OK);
    struct list steps = steps_of(id);
    assert_int_equal(steps.count, COUNT(phases));
    for (size_t i = 0; i < steps.count; i++)
        assert_true(str_starts(step_at(steps, i)->step, str_from(phases[i])));
}

static void assert_forks_at_every_step(const char *rule)
{
    struct str id = ended_debate(rule);
    struct list steps = steps_of(id);

    for (size_t i = 0; i < steps.count; i++) {
        struct fork_draft draft = draft_at(id, step_at(steps, i)->step);
        struct fork fork = fork_of(&draft);
        int64_t live = 0, messages = 0;

        for (size_t k = 0; k < steps.count; k++)
            *(k < i ? &messages : &live) +=
                k < i ? step_at(steps, k)->message : step_at(steps, k)->agent.at != NULL;
        assert_int_equal(fork.branch_point, messages);
        assert_int_equal(messages_of(fork.fork_id).count, messages);
        assert_int_equal(steps_of(fork.fork_id).count, i);
        struct debate debate = debate_of(fork.fork_id);
        assert_true(str_eq(debate.parent_debate_id, id) && str_eq(debate.fork_step, draft.step));
        finish(fork.fork_id);
        assert_int_equal(count_of("SELECT COUNT(*) FROM events WHERE org_id = $1 AND loop_id = $2"
                                  " AND type = 'token_start'",
                                  fork.fork_id),
                         live);
        assert_same(fork.fork_id, id);
        assert_journal(fork.fork_id, id);
        assert_true(debate_of(fork.fork_id).receipt_id.at != NULL); /* it decided anew */
    }
}

static void a_fork_runs_live_from_any_step_on_and_from_there_only(void **state)
{
    (void)state;
    assert_forks_at_every_step("majority");
    assert_forks_at_every_step("judge");
}

static void a_fork_by_messages_takes_over_as_many(void **state)
{
    struct str id = ended_debate("majority");
    struct list messages = messages_of(id);

    (void)state;
    for (size_t n = 0; n <= messages.count; n++) {
        struct fork_draft draft = { .parent_id = id,
                                    .branch_point = (int64_t)n,
                                    .rounds = INT_NONE };
        struct fork fork = fork_of(&draft);
        struct list taken = messages_of(fork.fork_id);

        assert_int_equal(fork.branch_point, n);
        assert_int_equal(taken.count, n);
        for (size_t i = 0; i < n; i++)
            assert_true(str_eq(((const struct debate_message *)taken.at)[i].content,
                               ((const struct debate_message *)messages.at)[i].content));
        finish(fork.fork_id);
        assert_same(fork.fork_id, id);
    }
    struct fork_draft more = { .parent_id = id,
                               .branch_point = (int64_t)messages.count + 1,
                               .rounds = INT_NONE };
    struct fork fork;
    assert_int_equal(debate_fork(&fork, at.db, &more, 1000), ERR_RANGE);
}

static void a_fork_with_more_rounds_votes_after_the_last(void **state)
{
    struct str id = ended_debate("majority");
    struct fork_draft draft = draft_at(id, STR("2/vote/bob"));
    struct fork fork;

    (void)state;
    draft.rounds = 4;
    draft.premise = STR("The date has moved");
    fork = fork_of(&draft);
    assert_true(str_starts(fork.step, STR("2/vote/")));
    assert_int_equal(count_of("SELECT COUNT(*) FROM debate_votes WHERE org_id = $1"
                              " AND debate_id = $2",
                              fork.fork_id),
                     0);
    finish(fork.fork_id);
    struct debate debate = debate_of(fork.fork_id);
    assert_true(debate.rounds_requested == 4 && debate.rounds_used > 2);
    assert_true(str_is(debate.context, "The date has moved"));
    draft.rounds = 1;
    assert_int_equal(debate_fork(&fork, at.db, &draft, 1000), ERR_INVALID_VALUE);
}

static void what_a_fork_cannot_begin_with_is_refused_and_leaves_nothing(void **state)
{
    struct str id = ended_debate("majority"), org = arena_str(at.arena, db_org(at.db));
    struct fork_draft draft = draft_at(id, STR("3/vote/ann"));
    struct fork fork;

    (void)state;
    assert_int_equal(debate_fork(&fork, at.db, &draft, 1000), ERR_NOT_FOUND);
    draft.step = STR("1/start");
    assert_int_equal(debate_fork(&fork, at.db, &draft, 0), ERR_CAPACITY);
    (void)fresh_org();
    assert_int_equal(debate_fork(&fork, at.db, &draft, 1000), ERR_DEBATE_NOT_FOUND);
    assert_int_equal(debate_replay(&fork.fork_id, at.db, id, 1000), ERR_DEBATE_NOT_FOUND);
    assert_int_equal(steps_of(id).count, 0);
    db_use(at.db, at.arena, org);
    assert_int_equal(count_of("SELECT COUNT(*) FROM loops WHERE org_id = $1 AND loop_id <> $2", id),
                     0);
}

static void forks_of_forks_are_listed_under_who_is_left(void **state)
{
    struct str id = ended_debate("majority"), replay;
    struct fork_draft draft = draft_at(id, STR("1/start"));
    struct list forks, offspring;

    (void)state;
    struct fork child = fork_of(&draft);
    draft.parent_id = child.fork_id;
    draft.step = STR_NONE;
    struct fork grandchild = fork_of(&draft);
    assert_true(grandchild.fork_id.len <= 64);
    assert_int_equal(debate_forks(&forks, at.db, id), OK);
    assert_int_equal(forks.count, 2);
    const struct fork *all = forks.at;
    assert_true(str_eq(all[0].under, id) && str_eq(all[1].under, child.fork_id));
    assert_int_equal(debate_cancel(at.db, child.fork_id, STR("enough")), OK);
    assert_int_equal(debate_cancel(at.db, grandchild.fork_id, STR("enough")), OK);
    assert_int_equal(debate_replay(&replay, at.db, id, 1000), OK);
    finish(replay);
    assert_int_equal(debate_offspring(&offspring, at.db, id), OK);
    assert_int_equal(offspring.count, 3);
    assert_int_equal(receipt_erase(at.db, child.fork_id), OK);
    assert_int_equal(debate_forks(&forks, at.db, id), OK);
    assert_int_equal(forks.count, 1);
    all = forks.at;
    assert_true(str_eq(all[0].fork_id, grandchild.fork_id) && str_eq(all[0].under, id));
    assert_int_equal(debate_offspring(&offspring, at.db, id), OK);
    assert_int_equal(offspring.count, 2);
}

/* --- Replays ----------------------------------------------------------------------------- */

/* As if a provider had said what the demo agents did: its replies are kept, byte for byte. */
static void make_provided(struct str id)
{
    struct list steps = steps_of(id);
    struct job job = { 0 };
    struct {
        struct str value;
    } text;
    const struct field row[] = { { .name = "value", .type = FIELD_STR }, { 0 } };

    assert_int_equal(db_one(&text, at.db, row, ERR_NOT_FOUND,
                            "SELECT job_id FROM jobs WHERE org_id = $1 AND subject_id = $2",
                            BIND(id)),
                     OK);
    job.job_id = text.value;
    for (size_t i = 0; i < steps.count; i++) {
        CLEANUP(buf_free) struct buf reply = { 0 };
        const struct debate_step *step = step_at(steps, i);
        struct str attempt = arena_printf(at.arena, "att_" STR_FMT, STR_ARG(step->step));

        if (!step->agent.at)
            continue;
        buf_str(&reply, STR("{\"message\":{\"content\":"));
        buf_json_str(&reply, step->text);
        buf_str(&reply, STR("},\"done\":true,\"done_reason\":\"stop\"}\n"));
        const struct attempt_draft draft = { .attempt_id = attempt,
                                             .step = step->step,
                                             .provider = STR("ollama"),
                                             .model = STR("m"),
                                             .request_digest = STR("d") };
        const struct attempt_end end = { .outcome = "used",
                                         .attempt_id = attempt,
                                         .request_digest = STR("d"),
                                         .cost_micro_usd = 5,
                                         .reply = buf_view(&reply) };
        assert_int_equal(attempt_begin(at.db, &job, &draft), OK);
        assert_int_equal(attempt_end(at.db, &end, &vault), OK);
    }
    assert_int_equal(db_run(NULL, at.db,
                            "UPDATE debate_agents SET provider = 'ollama' WHERE org_id = $1",
                            NO_BINDS),
                     OK);
}

static struct str replay_of(struct str id)
{
    struct replay_gap gap;
    struct str replay;

    assert_int_equal(replay_check(&gap, at.db, id, &vault), OK);
    assert_int_equal(debate_replay(&replay, at.db, id, 1000), OK);
    return replay;
}

static void assert_replayed(struct str replay, struct str id)
{
    struct debate_bill bill;
    struct list events;

    assert_same(replay, id);
    assert_int_equal(debate_bill(&bill, at.db, replay), OK);
    assert_true(bill.calls == 0 && bill.micro_usd == 0);
    struct debate debate = debate_of(replay);
    assert_true(str_eq(debate.replay_of, id) && !debate.receipt_id.at);
    assert_int_equal(event_read(&events, at.db, replay, 1, 1), OK);
    struct str told = arena_printf(at.arena, "\"replay_of\":\"" STR_FMT "\"", STR_ARG(id));
    size_t place;
    assert_true(str_find(&place, ((const struct event *)events.at)->data.text, told));
}

static void a_replay_says_the_same_and_calls_nobody(void **state)
{
    struct str id = ended_debate("majority"), demo = replay_of(id);

    (void)state;
    finish(demo);
    assert_replayed(demo, id);
    make_provided(id);
    struct str replay = replay_of(id);
    finish(replay);
    assert_replayed(replay, id);
    struct str again = replay_of(replay); /* its texts are of the same attempts */
    finish(again);
    assert_replayed(again, replay);
    struct fork_draft draft = { .parent_id = id, .branch_point = 9, .rounds = INT_NONE };
    struct fork fork = fork_of(&draft);
    finish(fork.fork_id); /* nothing is left to ask */
    struct str last = replay_of(fork.fork_id);
    finish(last);
    assert_replayed(last, fork.fork_id);
}

static void a_replay_reads_replies_and_not_texts(void **state)
{
    struct str id = ended_debate("majority");

    (void)state;
    make_provided(id);
    assert_int_equal(db_run(NULL, at.db,
                            "UPDATE job_steps SET text = 'another' WHERE org_id = $1"
                            " AND step = '1/revision/ann'",
                            NO_BINDS),
                     OK);
    struct str replay = replay_of(id);
    finish(replay);
    struct list steps = steps_of(replay);
    for (size_t i = 0; i < steps.count; i++)
        assert_false(str_is(step_at(steps, i)->text, "another"));
}

static void a_replay_cut_after_any_write_ends_the_same(void **state)
{
    struct engine_options cut = at_once;
    struct str id = ended_debate("majority");
    enum result result = ERR_LEASE_LOST;

    (void)state;
    make_provided(id);
    for (cut.writes_left = 1; result == ERR_LEASE_LOST; cut.writes_left++) {
        struct str replay = replay_of(id);

        result = run_once(replay, &cut);
        if (result != OK) {
            assert_int_equal(result, ERR_LEASE_LOST);
            assert_int_equal(job_release_runner(NULL, at.db, STR("run_test")), OK);
            finish(replay);
        }
        assert_replayed(replay, id);
    }
    assert_true(cut.writes_left > 20);
}

static void assert_gap(struct str id, const char *step)
{
    struct replay_gap gap = { STR("-"), NULL };

    assert_int_equal(replay_check(&gap, at.db, id, &vault), ERR_CONFLICT);
    if (step)
        assert_true(str_is(gap.step, step));
    else
        assert_null(gap.step.at);
    assert_non_null(gap.why);
}

static void a_reply_that_is_not_there_is_named(void **state)
{
    struct str id = ended_debate("majority");
    struct attempt_vault other = vault;
    struct replay_gap gap;

    (void)state;
    make_provided(id);
    other.key.bytes[0] ^= 1;
    assert_int_equal(replay_check(&gap, at.db, id, &other), ERR_CONFLICT);
    assert_true(str_starts(gap.step, STR("0/proposal/")));
    assert_int_equal(db_run(NULL, at.db,
                            "UPDATE provider_attempts SET reply = NULL WHERE org_id = $1"
                            " AND step = '1/critique/bob/ann'",
                            NO_BINDS),
                     OK);
    assert_gap(id, "1/critique/bob/ann");
    assert_int_equal(receipt_erase(at.db, id), OK);
    assert_int_equal(replay_check(&gap, at.db, id, &vault), ERR_DEBATE_NOT_FOUND);
    id = two_agents_debate("majority");
    assert_gap(id, NULL);
    assert_int_equal(debate_cancel(at.db, id, STR("enough")), OK);
    assert_gap(id, NULL);
}

/* The source is erased between the check and the run. */
static void a_reply_that_goes_while_it_is_replayed_is_a_failed_step(void **state)
{
    struct str id = ended_debate("majority");

    (void)state;
    make_provided(id);
    struct str replay = replay_of(id);
    assert_int_equal(receipt_erase(at.db, id), OK);
    finish(replay);
    struct debate debate = debate_of(replay);
    assert_true(str_is(debate.status, "error") && debate.error.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_stand_in_the_order_of_the_debate),
        cmocka_unit_test(a_fork_runs_live_from_any_step_on_and_from_there_only),
        cmocka_unit_test(a_fork_by_messages_takes_over_as_many),
        cmocka_unit_test(a_fork_with_more_rounds_votes_after_the_last),
        cmocka_unit_test(what_a_fork_cannot_begin_with_is_refused_and_leaves_nothing),
        cmocka_unit_test(forks_of_forks_are_listed_under_who_is_left),
        cmocka_unit_test(a_replay_says_the_same_and_calls_nobody),
        cmocka_unit_test(a_replay_reads_replies_and_not_texts),
        cmocka_unit_test(a_replay_cut_after_any_write_ends_the_same),
        cmocka_unit_test(a_reply_that_is_not_there_is_named),
        cmocka_unit_test(a_reply_that_goes_while_it_is_replayed_is_a_failed_step),
    };
    int failed = cmocka_run_group_tests_name("SQLite", tests, sqlite, close_databases);

    return failed + cmocka_run_group_tests_name("PostgreSQL", tests, postgres, close_databases);
}
