/* test_agent_demo.c - demo agents, the parsing of what they write, and the verdict. */
#include "debated/agent.h"
#include "debated/consensus.h"
#include "debated/parse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const questions[] = {
    "Should we ship the payment service on Friday?",
    "Which database should the analytics team use?",
    "Is it time to move the monolith to services?",
    "How do we cut the hosting bill by half?",
    "Should remote work stay the default for engineers?",
    "Can we drop support for old browsers this year?",
    "What language should the new compiler be written in?",
    "Should every pull request need two reviewers?",
    "Do we open the office in Lisbon or in Porto?",
    "Will caching fix the latency of the search page?",
};

static struct str names[] = { { "ann", 3 }, { "bob", 3 }, { "cleo", 4 } };

static struct prompt prompt_of(enum call_kind kind, const char *task, size_t seat)
{
    return (struct prompt){
        .kind = kind, .round = 1, .seat = seat, .agent = names[seat], .task = str_from(task)
    };
}

static void propose_all(struct said said[3], struct arena *arena, const char *task)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        struct prompt prompt = prompt_of(CALL_PROPOSAL, task, i);
        said[i] = (struct said){ names[i], demo_answer(arena, &prompt) };
    }
}

static void the_same_prompt_gives_the_same_text_and_other_agents_differ(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct said first[3], second[3];

    (void)state;
    for (size_t q = 0; q < COUNT(questions); q++) {
        propose_all(first, arena, questions[q]);
        propose_all(second, arena, questions[q]);
        for (size_t i = 0; i < COUNT(names); i++)
            assert_true(str_eq(first[i].text, second[i].text));
        assert_false(str_eq(first[0].text, first[1].text));
        assert_false(str_eq(first[1].text, first[2].text));
    }
}

static size_t winner_of(struct arena *arena, const char *task)
{
    struct said said[3];
    struct ballot ballots[3];
    struct verdict verdict;

    propose_all(said, arena, task);
    for (size_t i = 0; i < COUNT(names); i++) {
        struct prompt prompt = prompt_of(CALL_VOTE, task, i);
        struct vote vote;

        prompt.proposals = (struct list){ said, COUNT(said) };
        struct str text = demo_answer(arena, &prompt);
        parse_vote(&vote, text);
        assert_true(parse_choice(&ballots[i].choice, &vote, text, names, COUNT(names)));
        assert_true(vote.confidence >= 0.6 && vote.confidence < 1);
        assert_true(vote.reasoning.len > 0);
        ballots[i].confidence = vote.confidence;
    }
    consensus_decide(&verdict, STR("majority"), ballots, names, COUNT(names));
    return verdict.winner;
}

static void different_questions_have_different_winners(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    size_t wins[3] = { 0 };

    (void)state;
    for (size_t q = 0; q < COUNT(questions); q++)
        wins[winner_of(arena, questions[q])]++;
    assert_true(!!wins[0] + !!wins[1] + !!wins[2] >= 2);
}

static void a_critique_quotes_its_target_and_reads_back(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();

    (void)state;
    for (size_t q = 0; q < COUNT(questions); q++) {
        struct prompt prompt = prompt_of(CALL_CRITIQUE, questions[q], 0);
        struct critique critique;
        struct said said[3];
        size_t from, end;

        propose_all(said, arena, questions[q]);
        prompt.target = said[1];
        parse_critique(&critique, demo_answer(arena, &prompt));
        assert_int_equal(critique.issues.count, 2);
        assert_int_equal(critique.suggestions.count, 2);
        assert_true(critique.severity >= 3 && critique.severity <= 8);
        assert_true(str_starts(critique.reasoning, names[1]));
        struct str quoted = str_slice(critique.issues.at[0], 1, critique.issues.at[0].len);
        assert_true(str_find(&end, quoted, STR("\" is claimed")));
        assert_true(end > 0 && str_find(&from, said[1].text, str_slice(quoted, 0, end)));
    }
}

static void a_severe_critique_changes_a_mind_and_a_mild_one_does_not(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct said said[3], severe = { names[1], STR("Issues:\n- no\nSeverity: 9\n") },
                         mild = { names[1], STR("Issues:\n- no\nSeverity: 3\n") };
    struct prompt prompt = prompt_of(CALL_REVISION, questions[0], 0);
    size_t place;

    (void)state;
    propose_all(said, arena, questions[0]);
    prompt.own = said[0].text;
    prompt.critiques = (struct list){ &severe, 1 };
    assert_true(str_find(&place, demo_answer(arena, &prompt), STR("changed my mind")));
    prompt.critiques = (struct list){ &mild, 1 };
    assert_true(str_starts(demo_answer(arena, &prompt), said[0].text));
}

/* A proposal that speaks of what was asked, and one that does not, in any order. */
static void a_judge_takes_what_answers_the_question_and_says_what_is_open(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct said bare = { names[0], STR("Let us wait. Nothing is known yet. Time will tell.") },
                apt = { names[1], STR("The payment service can ship on Friday. We can go back.") },
                objection = { STR("bob by cleo"), STR("- nobody is there on Saturday") };
    size_t place;

    (void)state;
    for (int order = 0; order < 2; order++) {
        struct prompt prompt = prompt_of(CALL_JUDGE, questions[0], 2);
        struct said said[] = { order ? bare : apt, order ? apt : bare };

        prompt.proposals = (struct list){ said, COUNT(said) };
        prompt.critiques = (struct list){ &objection, 1 };
        struct str text = demo_answer(arena, &prompt);
        assert_true(str_starts(text, apt.text));
        assert_true(str_find(&place, text, STR("from bob")));
        assert_true(str_find(&place, text, STR("ann adds")));
        assert_true(str_find(&place, text, objection.text));
        assert_true(str_eq(text, demo_answer(arena, &prompt)));
    }
}

static void a_summary_tells_who_decided(void **state)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct prompt prompt = prompt_of(CALL_SYNTHESIS, questions[0], 2);
    size_t place;

    (void)state;
    prompt.target = (struct said){ names[1], STR("Yes.") };
    assert_true(str_find(&place, demo_answer(arena, &prompt), STR("settled on bob's proposal")));
    prompt.judged = true;
    assert_true(str_find(&place, demo_answer(arena, &prompt), STR("decided by bob: Yes.")));
}

static void a_vote_is_read_in_every_form(void **state)
{
    static const struct {
        const char *text;
        size_t choice;
        double confidence;
    } cases[] = {
        { "CHOICE: bob\nCONFIDENCE: 0.8\nREASONING: x", 1, 0.8 },
        { "choice: BOB\nconfidence: 80\ncontinue: no", 1, 0.8 },
        { "CHOICE: cleo-v2\nCONFIDENCE: maybe", 2, 0.5 },
        { "I prefer ann over bob.", 0, 0.5 },
        { "CHOICE: nobody", ABSTAINED, 0.5 },
        { "", ABSTAINED, 0.5 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str text = str_from(cases[i].text);
        struct vote vote;
        size_t choice = ABSTAINED;

        parse_vote(&vote, text);
        (void)parse_choice(&choice, &vote, text, names, COUNT(names));
        assert_int_equal(choice, cases[i].choice);
        assert_true(vote.confidence == cases[i].confidence);
    }
}

static void a_critique_is_read_in_every_form(void **state)
{
    static const struct {
        const char *text;
        size_t issues, suggestions;
        double severity;
    } cases[] = {
        { "", 1, 0, 5 },
        { "It is late. Nobody tested it. Test it. Then ship.", 2, 2, 5 },
        { "Problems:\n1. one\n2. two\nRecommendations:\n* three\nSeverity: 0.7", 2, 1, 7 },
        { "Concerns:\n\xe2\x80\xa2 one\nSeverity: 12/10", 1, 0, 10 },
        { "- a\n- b\n- c\n- d\n- e\n- f\nseverity is high", 5, 0, 5 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct critique critique;

        parse_critique(&critique, str_from(cases[i].text));
        assert_int_equal(critique.issues.count, cases[i].issues);
        assert_int_equal(critique.suggestions.count, cases[i].suggestions);
        assert_true(critique.severity == cases[i].severity);
    }
}

static void votes_give_the_verdict(void **state)
{
    static const struct {
        const char *mode;
        struct ballot ballots[3];
        bool reached;
        size_t winner;
        const char *strength;
    } cases[] = {
        { "majority", { { 0, 1 }, { 0, 1 }, { 0, 1 } }, true, 0, "unanimous" },
        { "majority", { { 0, 1 }, { 2, 1 }, { 2, 1 } }, true, 2, "medium" },
        { "majority", { { 0, .5 }, { 1, .7 }, { 2, .6 } }, false, 1, "weak" },
        { "majority", { { 2, .5 }, { 1, .5 }, { ABSTAINED, 1 } }, false, 1, "weak" },
        { "majority",
          { { 2, .5 }, { ABSTAINED, .5 }, { ABSTAINED, 1 } },
          false,
          ABSTAINED,
          "none" },
        { "unanimous", { { 1, 1 }, { 1, 1 }, { ABSTAINED, 1 } }, true, 1, "unanimous" },
        { "unanimous", { { 0, 1 }, { 1, 1 }, { 1, 1 } }, false, 1, "none" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct verdict verdict;

        consensus_decide(&verdict, str_from(cases[i].mode), cases[i].ballots, names, 3);
        assert_int_equal(verdict.reached, cases[i].reached);
        assert_int_equal(verdict.winner, cases[i].winner);
        assert_string_equal(verdict.strength, cases[i].strength);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_prompt_gives_the_same_text_and_other_agents_differ),
        cmocka_unit_test(different_questions_have_different_winners),
        cmocka_unit_test(a_critique_quotes_its_target_and_reads_back),
        cmocka_unit_test(a_severe_critique_changes_a_mind_and_a_mild_one_does_not),
        cmocka_unit_test(a_judge_takes_what_answers_the_question_and_says_what_is_open),
        cmocka_unit_test(a_summary_tells_who_decided),
        cmocka_unit_test(a_vote_is_read_in_every_form),
        cmocka_unit_test(a_critique_is_read_in_every_form),
        cmocka_unit_test(votes_give_the_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
