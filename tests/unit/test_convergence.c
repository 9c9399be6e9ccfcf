/* test_convergence.c - how alike two rounds of proposals are. */
#include "debated/convergence.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena *arena;

static int open_arena(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static double alike(struct str before, struct str now)
{
    return convergence_of(arena, &before, &now, 1).least;
}

static void the_same_words_are_alike_and_others_are_not(void **state)
{
    (void)state;
    assert_true(alike(STR("Ship it on Friday."), STR("ship it, on FRIDAY")) > 0.999);
    assert_true(alike(STR("Ship it on Friday."), STR("Never before a weekend")) == 0);
    double close = alike(STR("We should ship it on Friday after the tests have run"),
                         STR("We should ship it on Monday after the tests have run"));
    double far = alike(STR("We should ship it on Friday after the tests have run"),
                       STR("We need a plan for going back before anything else"));
    assert_true(close > 0.6 && close < 1);
    assert_true(far < 0.2);
}

static void word_order_counts(void **state)
{
    (void)state;
    double same = alike(STR("speed before safety"), STR("speed before safety"));
    double turned = alike(STR("speed before safety"), STR("safety before speed"));
    assert_true(turned < same - 0.2);
    assert_true(turned > 0.2);
}

static void empty_texts_are_alike_among_themselves_only(void **state)
{
    (void)state;
    assert_true(alike(STR(""), STR("...")) == 1);
    assert_true(alike(STR(""), STR("words")) == 0);
}

static void other_scripts_make_words(void **state)
{
    (void)state;
    assert_true(alike(STR("Größe zählt"), STR("Größe zählt nicht")) > 0.3);
    assert_true(alike(STR("日本 語"), STR("日本 人")) > 0.1);
}

static void the_least_alike_agent_decides_and_absent_ones_do_not_count(void **state)
{
    const struct str before[] = { STR("a b c d"), STR("e f g h"), STR_NONE, STR("x") };
    const struct str now[] = { STR("a b c d"), STR("e f g z"), STR("new"), STR_NONE };

    (void)state;
    struct convergence found = convergence_of(arena, before, now, 4);
    assert_true(found.similarity[0] > 0.999);
    assert_true(found.similarity[1] < 0.9 && found.similarity[1] > 0.3);
    assert_true(found.similarity[2] == 1 && found.similarity[3] == 1);
    assert_true(found.least == found.similarity[1]);
    assert_true(found.mean > found.least && found.mean < 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_words_are_alike_and_others_are_not),
        cmocka_unit_test(word_order_counts),
        cmocka_unit_test(empty_texts_are_alike_among_themselves_only),
        cmocka_unit_test(other_scripts_make_words),
        cmocka_unit_test(the_least_alike_agent_decides_and_absent_ones_do_not_count),
    };

    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
