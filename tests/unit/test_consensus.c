/* test_consensus.c - from ballots to a verdict, and who judges (debates.md 8.1, 8.2, 8.4, 10.1). */
#include "debated/judge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *mode;
    const char *votes; /* each agent's choice by its place, '-': an abstention */
    double confidences[6];
    bool reached;
    int winner; /* -1: none */
    double confidence;
    const char *strength, *status;
} cases[] = {
    { "majority", "000", { 1, 1, 1 }, true, 0, 1, "unanimous", "consensus_reached" },
    { "majority", "001", { 1, 1, 1 }, true, 0, 2.0 / 3, "medium", "consensus_reached" },
    { "majority", "00112", { 1, 1, 1, 1, 1 }, false, 0, 0.4, "weak", "completed" },
    { "majority", "00011", { 1, 1, 1, 1, 1 }, true, 0, 0.6, "medium", "consensus_reached" },
    { "majority", "00001", { 1, 1, 1, 1, 1 }, true, 0, 0.8, "strong", "consensus_reached" },
    { "weighted", "00011", { 1, 1, 1, 1, 1 }, true, 0, 0.6, "medium", "consensus_reached" },
    { "supermajority", "00011", { 1, 1, 1, 1, 1 }, false, 0, 0.6, "medium", "completed" },
    { "supermajority", "001", { 1, 1, 1 }, true, 0, 2.0 / 3, "medium", "consensus_reached" },
    { "any", "0123", { 0.1, 0.2, 0.9, 0.3 }, true, 2, 0.25, "weak", "consensus_reached" },
    /* as long as no judge has answered */
    { "judge", "00011", { 1, 1, 1, 1, 1 }, true, 0, 0.6, "medium", "consensus_reached" },
    { "hybrid", "0011", { 0.5, 0.5, 0.9, 0.9 }, false, 1, 0.5, "weak", "completed" },
    { "judge", "0--", { 1, 1, 1 }, false, -1, 0, "none", "insufficient_participation" },
    { "unanimous", "000", { 1, 1, 1 }, true, 0, 1, "unanimous", "consensus_reached" },
    { "unanimous", "001", { 1, 1, 1 }, false, 0, 2.0 / 3, "none", "completed" },
    /* who abstains is left out of the share, but counts for the quorum */
    { "unanimous", "00-", { 1, 1, 1 }, true, 0, 1, "unanimous", "consensus_reached" },
    { "majority", "0--", { 1, 1, 1 }, false, -1, 0, "none", "insufficient_participation" },
    { "majority", "00---", { 1, 1, 1, 1, 1 }, false, -1, 0, "none", "insufficient_participation" },
    { "majority", "--", { 1, 1 }, false, -1, 0, "none", "insufficient_participation" },
    /* a tie: the higher mean confidence, then the name */
    { "majority", "0011", { 0.5, 0.5, 0.9, 0.9 }, false, 1, 0.5, "weak", "completed" },
    { "majority", "1100", { 0.9, 0.9, 0.9, 0.9 }, false, 0, 0.5, "weak", "completed" },
    { "majority", "2211", { 0.7, 0.7, 0.7, 0.7 }, false, 1, 0.5, "weak", "completed" },
};

static void each_rule_counts_as_it_says(void **state)
{
    static const struct str names[] = { { "ann", 3 },  { "bob", 3 }, { "cleo", 4 },
                                        { "dora", 4 }, { "eli", 3 }, { "fay", 3 } };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ballot ballots[6];
        struct verdict verdict;
        size_t count = strlen(cases[i].votes);

        for (size_t j = 0; j < count; j++)
            ballots[j] = (struct ballot){
                cases[i].votes[j] == '-' ? ABSTAINED : (size_t)(cases[i].votes[j] - '0'),
                cases[i].confidences[j],
            };
        consensus_decide(&verdict, str_from(cases[i].mode), ballots, names, count);
        print_message("%s %s\n", cases[i].mode, cases[i].votes);
        assert_int_equal(verdict.reached, cases[i].reached);
        assert_int_equal(verdict.winner, cases[i].winner < 0 ? ABSTAINED : (size_t)cases[i].winner);
        assert_true(fabs(verdict.confidence - cases[i].confidence) < 1e-9);
        assert_string_equal(verdict.strength, cases[i].strength);
        assert_string_equal(verdict.status, cases[i].status);
    }
}

static void a_judge_decides_and_the_votes_name_the_winner(void **state)
{
    struct verdict split = { .winner = 1,
                             .confidence = 0.4,
                             .strength = "weak",
                             .status = "completed" },
                   none = { .winner = ABSTAINED,
                            .strength = "none",
                            .status = "insufficient_participation" };

    (void)state;
    consensus_judged(&split);
    assert_true(split.reached);
    assert_int_equal(split.winner, 1);
    assert_true(split.confidence == 0.8);
    assert_string_equal(split.strength, "weak");
    assert_string_equal(split.status, "consensus_reached");
    consensus_judged(&none);
    assert_true(none.reached);
    assert_int_equal(none.winner, ABSTAINED);
}

static void judges_are_asked_in_the_order_of_the_selection(void **state)
{
    static const struct {
        const char *selection;
        int64_t seed;
        const char *roles; /* each agent's: p, c or s; upper case: it may not be asked */
        const char *order;
    } orders[] = {
        { "last", 9, "pcsps", "201" },  { "last", 9, "pcp", "201" },
        { "last", 9, "pcSp", "301" },   { "last", 9, "PCs", "2" },
        { "last", 9, "PC", "" },        { "random", 0, "pcs", "012" },
        { "random", 7, "pcs", "102" },  { "random", 2, "pcs", "201" },
        { "random", 1, "pCsp", "203" }, { "random", INT64_MAX, "pc", "10" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(orders); i++) {
        struct transcript_agent agents[6] = { 0 };
        bool may[6] = { 0 };
        struct judges judges = { str_from(orders[i].selection), orders[i].seed, agents, may,
                                 strlen(orders[i].roles) };
        size_t order[JUDGES_MAX];

        for (size_t j = 0; j < judges.count; j++) {
            char role = orders[i].roles[j];

            may[j] = role >= 'a';
            agents[j].role = (role | 0x20) == 's' ? STR("synthesizer") : STR("proposer");
        }
        print_message("%s %s\n", orders[i].selection, orders[i].roles);
        assert_int_equal(judges_choose(order, &judges), strlen(orders[i].order));
        for (size_t j = 0; orders[i].order[j]; j++)
            assert_int_equal(order[j], orders[i].order[j] - '0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_counts_as_it_says),
        cmocka_unit_test(a_judge_decides_and_the_votes_name_the_winner),
        cmocka_unit_test(judges_are_asked_in_the_order_of_the_selection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
