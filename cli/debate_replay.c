/* debate_replay.c - aragora debate replay: the same debate from its stored replies, and whether it
 * comes out the same.
 *
 * The replay is a job, which the job daemon runs; here it is waited for and compared. */
#include "cli/debate.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/store/debate.h"
#include "common/store/fork.h"

#include <unistd.h>

#define LOOK_US   (50 * US_PER_MS)
#define CLAIM_US  (30 * US_PER_S) /* until a job daemon takes the job */
#define NO_DAEMON "no aragora-debated took it; it runs once one does"

/* --- Comparing --------------------------------------------------------------------------- */

struct sides {
    struct debate source, replay;
    struct list source_steps, replay_steps;
};

static size_t differ(const char *what, const char *how)
{
    printf("%s: %s\n", what, how);
    return 1;
}

static size_t compare_text(struct str what, struct str source, struct str replay)
{
    size_t at = 0;

    if (str_eq(source, replay))
        return 0;
    while (at < source.len && at < replay.len && source.at[at] == replay.at[at])
        at++;
    printf(STR_FMT ": the text differs from its byte %zu on\n", STR_ARG(what), at + 1);
    return 1;
}

static size_t compare_word(const char *what, struct str source, struct str replay)
{
    if (str_eq(source, replay))
        return 0;
    printf("%s: " STR_FMT " before, now " STR_FMT "\n", what,
           STR_ARG(source.at ? source : STR("none")), STR_ARG(replay.at ? replay : STR("none")));
    return 1;
}

static const struct debate_step *step_in(struct list steps, struct str name)
{
    const struct debate_step *all = steps.at;

    for (size_t i = 0; i < steps.count; i++)
        if (str_eq(all[i].step, name))
            return &all[i];
    return NULL;
}

static size_t compare_steps(struct arena *arena, const struct sides *sides)
{
    const struct debate_step *before = sides->source_steps.at, *now = sides->replay_steps.at;
    size_t differences = 0;

    for (size_t i = 0; i < sides->source_steps.count; i++) {
        const struct debate_step *other = step_in(sides->replay_steps, before[i].step);
        const char *what = arena_cstr(arena, before[i].step);

        if (!other)
            differences += differ(what, "the replay did not come to it");
        else if (!str_eq(before[i].status, other->status))
            differences += compare_word(what, before[i].status, other->status);
        else
            differences += compare_text(before[i].step, before[i].text, other->text);
    }
    for (size_t i = 0; i < sides->replay_steps.count; i++)
        if (!step_in(sides->source_steps, now[i].step))
            differences += differ(arena_cstr(arena, now[i].step), "only the replay came to it");
    return differences;
}

static struct str number(struct arena *arena, double value)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    buf_json_double(&text, value);
    return arena_str(arena, buf_view(&text));
}

static size_t compare_verdict(struct arena *arena, const struct debate *source,
                              const struct debate *replay)
{
    size_t differences = compare_word("status", source->status, replay->status);

    differences += compare_word("winner", source->winner, replay->winner);
    differences +=
        compare_word("consensus", source->consensus_reached ? STR("reached") : STR("none"),
                     replay->consensus_reached ? STR("reached") : STR("none"));
    differences += compare_word("strength", source->consensus_strength, replay->consensus_strength);
    differences += compare_word("confidence", number(arena, source->confidence),
                                number(arena, replay->confidence));
    differences +=
        compare_word("rounds", arena_printf(arena, "%lld", (long long)source->rounds_used),
                     arena_printf(arena, "%lld", (long long)replay->rounds_used));
    return differences +
           compare_text(STR("final answer"), source->final_answer, replay->final_answer);
}

static enum result sides_read(struct sides *out, struct db *db, struct str source_id,
                              struct str replay_id)
{
    TRY(debate_find(&out->source, db, source_id));
    TRY(debate_find(&out->replay, db, replay_id));
    TRY(debate_steps(&out->source_steps, db, source_id));
    return debate_steps(&out->replay_steps, db, replay_id);
}

static size_t replies_read(struct list steps)
{
    size_t count = 0;

    for (size_t i = 0; i < steps.count; i++) {
        const struct debate_step *step = (const struct debate_step *)steps.at + i;

        count += step->kept && str_is(step->status, "done");
    }
    return count;
}

static int compare(struct db *db, struct str source_id, struct str replay_id)
{
    struct arena *arena = db_arena(db);
    struct debate_bill bill;
    struct sides sides;
    enum result result = sides_read(&sides, db, source_id, replay_id);

    if (result == OK)
        result = debate_bill(&bill, db, replay_id);
    if (result != OK)
        return debate_complain(result, db, arena_cstr(arena, source_id));
    size_t differences =
        compare_steps(arena, &sides) + compare_verdict(arena, &sides.source, &sides.replay);
    printf("%zu steps, %zu stored replies read, %lld calls, %lld micro-USD\n",
           sides.replay_steps.count, replies_read(sides.replay_steps), (long long)bill.calls,
           (long long)bill.micro_usd);
    if (differences)
        printf("%zu differences\n", differences);
    else
        puts("the same texts, the same verdict");
    return differences ? EXIT_FAILED : EXIT_DONE;
}

/* --- Waiting ----------------------------------------------------------------------------- */

/* Until the replay is over. false: said why it is not. */
static bool wait_for(struct db *db, struct str replay_id)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct arena *outer = db_arena(db);
    int64_t give_up_us = monotonic_us() + CLAIM_US;
    struct str org = db_org(db);
    struct debate debate = { 0 };
    enum result result = OK;

    while (result == OK && !debate.completed_at.us) {
        if (debate.status.at) {
            if (str_is(debate.status, "queued") && monotonic_us() > give_up_us)
                break;
            usleep(LOOK_US);
        }
        arena_reset(arena);
        db_use(db, arena, org);
        result = debate_find(&debate, db, replay_id);
    }
    if (result == OK && !debate.completed_at.us)
        fprintf(stderr, "aragora: " STR_FMT ": " NO_DAEMON "\n", STR_ARG(replay_id));
    else if (result != OK)
        (void)debate_complain(result, db, arena_cstr(arena, replay_id));
    db_use(db, outer, org);
    return result == OK && debate.completed_at.us;
}

/* --- The command ------------------------------------------------------------------------- */

static int tell_gap(const char *id, const struct replay_gap *gap)
{
    if (gap->step.at)
        fprintf(stderr, "aragora: %s: it cannot be replayed: step " STR_FMT ": %s\n", id,
                STR_ARG(gap->step), gap->why);
    else
        fprintf(stderr, "aragora: %s: it cannot be replayed: %s\n", id, gap->why);
    return EXIT_FAILED;
}

int debate_replay_run(struct db *db, const struct arguments *arguments)
{
    const char *id = arguments->at[1];
    struct attempt_vault vault;
    struct replay_gap gap = { STR_NONE, NULL };
    struct str replay_id;
    enum result result = attempt_vault_open(&vault, db_arena(db), db);

    if (result == OK)
        result = replay_check(&gap, db, str_from(id), &vault);
    if (result == ERR_CONFLICT)
        return tell_gap(id, &gap);
    if (result == OK)
        result = debate_replay(&replay_id, db, str_from(id), setting_int(SETTING_MAX_QUEUED));
    if (result != OK)
        return debate_complain(result, db, id);
    printf(STR_FMT " replays %s\n", STR_ARG(replay_id), id);
    fflush(stdout);
    if (!wait_for(db, replay_id))
        return EXIT_FAILED;
    return compare(db, str_from(id), replay_id);
}
