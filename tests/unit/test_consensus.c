/* test_consensus.c - from ballots to a verdict (debates.md 8.1, 8.2, 8.4). */
#include "debated/consensus.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_rule_counts_as_it_says) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
