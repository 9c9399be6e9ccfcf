/* debate_fork.c - aragora debate fork, and steps, which lists where a fork can begin. */
#include "cli/debate.h"

#include "common/store/debate.h"
#include "common/store/fork.h"

static const char *reply_word(const struct debate_step *step)
{
    if (!step->asked)
        return "-"; /* no provider was asked */
    return step->kept ? "kept" : "none";
}

int debate_steps_run(struct db *db, const struct arguments *arguments)
{
    const char *id = arguments->at[1];
    struct debate debate;
    struct list steps;
    enum result result = debate_find(&debate, db, str_from(id));

    if (result == OK)
        result = debate_steps(&steps, db, str_from(id));
    if (result != OK)
        return debate_complain(result, db, id);
    for (size_t i = 0; i < steps.count; i++) {
        const struct debate_step *step = (const struct debate_step *)steps.at + i;

        printf(STR_FMT "\t" STR_FMT "\t%s\n", STR_ARG(step->step), STR_ARG(step->status),
               reply_word(step));
    }
    return EXIT_DONE;
}

static int complain(enum result result, struct db *db, const char *id, const char *step)
{
    if (result == ERR_NOT_FOUND)
        fprintf(stderr, "aragora: --at: %s has no step %s; aragora debate steps %s lists them\n",
                id, step, id);
    else if (result == ERR_INVALID_VALUE)
        fprintf(stderr, "aragora: --rounds: they end before %s\n", step);
    else
        return debate_complain(result, db, id);
    return EXIT_FAILED;
}

/* false: said what is wrong. */
static bool read_options(struct fork_draft *out, const struct arguments *arguments)
{
    const char *step = argument_last(arguments, OPTION_AT);
    const char *rounds = argument_last(arguments, OPTION_ROUNDS);
    const char *premise = argument_last(arguments, OPTION_PREMISE);
    int64_t most = setting_int(SETTING_MAX_ROUNDS);

    if (!step)
        fprintf(stderr, "aragora: --at: which step? aragora debate steps %s lists them\n",
                arguments->at[1]);
    else if (premise && !str_is_text(str_from(premise)))
        fputs("aragora: --premise: it is not UTF-8\n", stderr);
    else if (rounds && !str_int(&out->rounds, str_from(rounds), 1, most))
        fprintf(stderr, "aragora: --rounds: a number from 1 to %lld\n", (long long)most);
    else {
        out->step = str_from(step);
        out->premise = str_from(premise);
        return true;
    }
    return false;
}

int debate_fork_run(struct db *db, const struct arguments *arguments)
{
    const char *id = arguments->at[1];
    struct fork_draft draft = { .parent_id = str_from(id), .rounds = INT_NONE };
    struct fork fork;

    if (!read_options(&draft, arguments))
        return EXIT_USAGE;
    enum result result = debate_fork(&fork, db, &draft, setting_int(SETTING_MAX_QUEUED));
    if (result != OK)
        return complain(result, db, id, argument_last(arguments, OPTION_AT));
    printf(STR_FMT "\n", STR_ARG(fork.fork_id));
    fprintf(stderr, "aragora: %lld messages taken over; it runs live from " STR_FMT " on\n",
            (long long)fork.branch_point, STR_ARG(fork.step));
    return EXIT_DONE;
}
