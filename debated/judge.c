/* judge.c - see judge.h.
 *
 * Each call of a judge is a step like any other: a debate that lost its runner asks the same ones,
 * and nobody whose answer or failure is stored. */
#include "debated/judge.h"

#include "debated/parse.h"

#define CRITIQUES_TOLD 5
#define ISSUES_TOLD    2

static size_t may_judge(size_t *out, const struct judges *judges)
{
    size_t count = 0;

    for (size_t i = 0; i < judges->count; i++)
        if (judges->may[i])
            out[count++] = i;
    return count;
}

/* The first synthesizer; else who stands last. */
static size_t last_of(const struct judges *judges, const size_t *able, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(judges->agents[able[i]].role, "synthesizer"))
            return able[i];
    return able[count - 1];
}

size_t judges_choose(size_t out[JUDGES_MAX], const struct judges *judges)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    size_t *able = arena_array(arena, judges->count, sizeof(*able)), chosen = 1;
    size_t count = may_judge(able, judges);

    if (!count)
        return 0;
    out[0] = str_is(judges->selection, "last") ? last_of(judges, able, count)
                                               : able[(uint64_t)judges->seed % count];
    for (size_t i = 0; i < count && chosen < JUDGES_MAX; i++)
        if (able[i] != out[0])
            out[chosen++] = able[i];
    return chosen;
}

/* A demo agent judges among its like alone: it never stands in for a real one. */
static size_t candidates(size_t out[JUDGES_MAX], struct run *run)
{
    bool *may = arena_array(run->arena, run->count, sizeof(*may));

    for (size_t i = 0; i < run->count; i++)
        may[i] = !agent_is_out(run, i) &&
                 (run->debate.is_demo || !str_is(run->agents[i].provider, "demo"));
    return judges_choose(out, &(struct judges){ .selection = run->debate.judge_selection,
                                                .seed = run->debate.judge_seed,
                                                .agents = run->agents,
                                                .may = may,
                                                .count = run->count });
}

static struct said told(struct run *run, const struct call *call, const struct critique *critique)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    for (size_t i = 0; i < critique->issues.count && i < ISSUES_TOLD; i++)
        buf_printf(&text, "%s- " STR_FMT, i ? "\n" : "", STR_ARG(critique->issues.at[i]));
    return (struct said){ arena_printf(run->arena, STR_FMT " by " STR_FMT,
                                       STR_ARG(run->names[call->target]),
                                       STR_ARG(run->names[call->agent])),
                          arena_str(run->arena, buf_view(&text)) };
}

/* The gravest critiques of the last round, by their first issues. */
static struct list gravest(struct run *run)
{
    struct critique *read = arena_array(run->arena, run->critique_count, sizeof(*read));
    struct said *out = arena_array(run->arena, CRITIQUES_TOLD, sizeof(*out));
    size_t count = 0;

    for (size_t i = 0; i < run->critique_count; i++)
        parse_critique(&read[i], run->critiques[i].text);
    for (; count < CRITIQUES_TOLD; count++) {
        size_t worst = run->critique_count;

        for (size_t i = run->critique_count; i-- > 0;)
            if (run->critiques[i].text.at && read[i].severity >= 0 &&
                (worst == run->critique_count || read[i].severity >= read[worst].severity))
                worst = i;
        if (worst == run->critique_count)
            break;
        out[count] = told(run, &run->critiques[worst], &read[worst]);
        read[worst].severity = -1; /* taken */
    }
    return (struct list){ out, count };
}

enum result judge_ask(struct run *run)
{
    size_t order[JUDGES_MAX], count = candidates(order, run);
    struct list critiques = gravest(run);

    for (size_t i = 0; i < count && !run->judgement.at; i++) {
        struct call *call = calls_new(run, 1);

        call_set(run, call, CALL_JUDGE, run->rounds_done + 1, order[i], NO_TARGET);
        call->prompt.critiques = critiques;
        TRY(calls_run(run, call, 1));
        run->judgement = call->text;
        run->judge = order[i];
    }
    return OK;
}
