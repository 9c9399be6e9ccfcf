/* test_stream_text.c - which deltas stand under which start, whatever news of it was lost. */
#include "streamd/text.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct str agent = STR("ann"), task = STR("ann:0/proposal/ann");

static void tell(struct text **texts, const char *type, int64_t seq, int64_t attempt)
{
    texts_follow(texts, &(struct text_event){ str_from(type), agent, task, seq, attempt });
}

static void hear(struct text *text, int64_t agent_seq, const char *json)
{
    struct frame *frame = frame_text(str_from(json));

    text_hear(text, agent_seq, frame);
    frame_drop(frame);
}

static void a_text_begun_anew_has_nothing_of_the_one_before(void **state)
{
    CLEANUP(arena_cleanup) struct arena *scratch = arena_new();
    struct text *texts = NULL, *text;

    (void)state;
    tell(&texts, "token_start", 7, 1);
    hear(text_of_attempt(&texts, agent, task, 1), 1, "{\"data\":{\"token\":\"lost \"}}");
    tell(&texts, "token_start", 12, 2); /* token_discard was lost */
    text = text_of_attempt(&texts, agent, task, 2);
    assert_non_null(text);
    assert_int_equal(text->start_seq, 12);
    hear(text, 1, "{\"data\":{\"token\":\"kept\"}}");
    assert_true(str_is(text_said(text, scratch), "kept"));
    texts_free(&texts);
}

static void a_delta_whose_start_was_not_heard_ends_the_attempt_before(void **state)
{
    struct text *texts = NULL;

    (void)state;
    tell(&texts, "token_start", 7, 1);
    assert_null(text_of_attempt(&texts, agent, task, 2));
    assert_null(texts);
    tell(&texts, "token_start", 12, 2); /* read from the table */
    assert_non_null(text_of_attempt(&texts, agent, task, 2));
    texts_free(&texts);
}

static void a_delta_of_a_lost_attempt_is_nobodys(void **state)
{
    struct text *texts = NULL;

    (void)state;
    tell(&texts, "token_start", 12, 2);
    assert_null(text_of_attempt(&texts, agent, task, 1));
    assert_non_null(text_of_attempt(&texts, agent, task, 2));
    tell(&texts, "token_end", 13, 2);
    assert_null(text_of_attempt(&texts, agent, task, 2));
    assert_null(texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_begun_anew_has_nothing_of_the_one_before),
        cmocka_unit_test(a_delta_whose_start_was_not_heard_ends_the_attempt_before),
        cmocka_unit_test(a_delta_of_a_lost_attempt_is_nobodys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
