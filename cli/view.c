#include "cli/view.h"

#include "cli/terminal.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define SAYING_MAX 64 /* texts at once: ten agents' critiques and more */
#define SHOWN_MAX  8  /* of them on the screen */
#define FRAME_US   (50 * US_PER_MS)
#define WIDTH_MIN  40
#define WIDTH_MAX  100
#define INDENT     4

struct saying {
    struct str agent, task_id, phase;
    struct buf text;
    int64_t attempt;
    bool used;
};

struct view {
    struct arena *arena; /* what lasts */
    struct arena *turn;  /* of one frame */
    bool live, colour;
    int width;
    int below; /* lines that stand below the last one that scrolls */
    int64_t drawn_us;
    bool changed;

    int64_t last_seq, round, rounds;
    int64_t said, voted;
    struct saying sayings[SAYING_MAX];
    struct str agents[16];
    size_t agent_count;
    struct view_end end;
    struct str answer, synthesis, strength, method, winner, judge, absent, error;
    bool reached, has_verdict, demo, replay;
    double confidence;
};

static int terminal_width(void)
{
    struct winsize size;
    int width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;

    return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
}

struct view *view_new(bool plain)
{
    struct view *view = calloc(1, sizeof(*view));

    if (!view)
        abort();
    view->arena = arena_new();
    view->turn = arena_new();
    view->live = !plain && isatty(STDOUT_FILENO);
    view->colour = view->live && !getenv("NO_COLOR");
    view->width = terminal_width();
    view->confidence = NAN;
    return view;
}

static void clear_below(struct view *view)
{
    if (view->below)
        printf("\r\033[%dA\033[J", view->below);
    view->below = 0;
}

void view_free(struct view *view)
{
    clear_below(view);
    fflush(stdout);
    for (size_t i = 0; i < SAYING_MAX; i++)
        buf_free(&view->sayings[i].text);
    arena_free(view->turn);
    arena_free(view->arena);
    free(view);
}

/* --- Text on a terminal ------------------------------------------------------------------ */

/* Columns of the character at the start; *bytes: how long it is. */
static int columns_of(struct str text, size_t *bytes)
{
    mbstate_t state = { 0 };
    wchar_t wide;
    size_t len = mbrtowc(&wide, text.at, text.len, &state);

    if (len == 0 || len > text.len) { /* not of this locale */
        for (len = 1; len < text.len && ((unsigned char)text.at[len] & 0xc0) == 0x80; len++)
            ;
        *bytes = len;
        return 1;
    }
    *bytes = len;
    return wcwidth(wide) < 0 ? 0 : wcwidth(wide);
}

/* The longest head that fits, at a blank if there is one. */
static struct str line_of(struct str text, int width)
{
    size_t at = 0, blank = 0, bytes;

    for (int used = 0; at < text.len; at += bytes) {
        used += columns_of(str_slice(text, at, text.len), &bytes);
        if (used > width)
            return str_slice(text, 0, blank ? blank : at ? at : bytes);
        if (text.at[at] == ' ')
            blank = at;
    }
    return text;
}

static void print_wrapped(struct view *view, struct str text)
{
    struct str rest = str_trim(terminal_line(view->turn, text));

    while (rest.len) {
        struct str line = line_of(rest, view->width - INDENT);

        printf("%*s" STR_FMT "\n", INDENT, "", STR_ARG(line));
        rest = str_trim(str_slice(rest, line.len, rest.len));
    }
}

static int colour_of(struct view *view, struct str agent)
{
    static const int colours[] = { 36, 33, 35, 32, 34, 31, 96, 93, 95, 92 };
    size_t i = 0;

    while (i < view->agent_count && !str_eq(view->agents[i], agent))
        i++;
    if (i == view->agent_count && view->agent_count < COUNT(view->agents))
        view->agents[view->agent_count++] = arena_str(view->arena, agent);
    return colours[i % COUNT(colours)];
}

static void print_agent(struct view *view, struct str agent)
{
    struct str name = terminal_line(view->turn, agent);

    if (view->colour)
        printf("\033[1;%dm" STR_FMT "\033[0m", colour_of(view, agent), STR_ARG(name));
    else
        printf(STR_FMT, STR_ARG(name));
}

static const char *bold(const struct view *view)
{
    return view->colour ? "\033[1m" : "";
}

static const char *dim(const struct view *view)
{
    return view->colour ? "\033[2m" : "";
}

static const char *normal(const struct view *view)
{
    return view->colour ? "\033[0m" : "";
}

/* --- What stands below ------------------------------------------------------------------- */

static struct saying *saying_find(struct view *view, struct str agent, struct str task_id)
{
    for (size_t i = 0; i < SAYING_MAX; i++) {
        struct saying *saying = &view->sayings[i];
        if (saying->used && str_eq(saying->agent, agent) && str_eq(saying->task_id, task_id))
            return saying;
    }
    return NULL;
}

static void saying_start(struct view *view, struct str agent, struct str task_id, int64_t attempt)
{
    struct str rest = task_id, part, phase = STR_NONE;
    struct saying *saying = saying_find(view, agent, task_id);

    for (size_t i = 0; !saying && i < SAYING_MAX; i++)
        if (!view->sayings[i].used)
            saying = &view->sayings[i];
    if (!saying)
        return;
    /* agent:round/phase/agent or agent:phase: the word between says what is going on. */
    (void)str_split(&part, &rest, ':');
    while (str_split(&part, &rest, '/'))
        if (part.len && !str_int(&(int64_t){ 0 }, part, 0, INT64_MAX) && !phase.at)
            phase = part;
    buf_clear(&saying->text);
    saying->agent = arena_str(view->arena, agent);
    saying->task_id = arena_str(view->arena, task_id);
    saying->phase = arena_str(view->arena, phase.at ? phase : STR(""));
    saying->attempt = attempt;
    saying->used = true;
}

static void saying_stop(struct view *view, struct str agent, struct str task_id)
{
    struct saying *saying = saying_find(view, agent, task_id);

    if (saying)
        saying->used = false;
}

/* The end of the text that fits. */
static struct str tail_of(struct str text, int width)
{
    int characters = (int)str_characters(text);
    size_t at = 0, bytes;

    for (; characters > width && at < text.len; characters--) {
        (void)columns_of(str_slice(text, at, text.len), &bytes);
        at += bytes;
    }
    return str_slice(text, at, text.len);
}

static void draw_saying(struct view *view, const struct saying *saying)
{
    struct str text = terminal_line(view->turn, buf_view(&saying->text));
    int head = (int)str_characters(saying->agent) + (int)saying->phase.len + 5;
    int room = view->width - head - 1;

    printf("  ");
    print_agent(view, saying->agent);
    printf(" %s" STR_FMT "%s  " STR_FMT "\n", dim(view), STR_ARG(saying->phase), normal(view),
           STR_ARG(tail_of(text, room > 10 ? room : 10)));
}

static void draw_below(struct view *view)
{
    size_t active = 0, shown = 0;

    clear_below(view);
    for (size_t i = 0; i < SAYING_MAX; i++)
        active += view->sayings[i].used;
    for (size_t i = 0; i < SAYING_MAX && shown < SHOWN_MAX; i++) {
        if (!view->sayings[i].used)
            continue;
        draw_saying(view, &view->sayings[i]);
        shown++;
    }
    if (active) {
        printf("  %sround %lld of %lld, %zu speaking, %lld said, %lld votes%s\n", dim(view),
               (long long)view->round, (long long)view->rounds, active, (long long)view->said,
               (long long)view->voted, normal(view));
        shown++;
    }
    view->below = (int)shown;
    view->drawn_us = monotonic_us();
    view->changed = false;
    fflush(stdout);
}

void view_tick(struct view *view)
{
    arena_reset(view->turn);
    if (view->live && view->changed && monotonic_us() - view->drawn_us >= FRAME_US)
        draw_below(view);
}

/* Before anything that scrolls. */
static void scroll(struct view *view)
{
    clear_below(view);
    view->changed = view->live;
}

void view_notice(struct view *view, const char *format, ...)
{
    va_list arguments;

    scroll(view);
    printf("%s-- ", dim(view));
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("%s\n", normal(view));
    fflush(stdout);
}

/* --- Frames ------------------------------------------------------------------------------ */

struct frame {
    struct str type, agent, task_id;
    int64_t seq, round;
    struct json_object *data;
};

static struct str text_of(const struct frame *frame, const char *key)
{
    struct str text = STR_NONE;

    (void)json_get_str(&text, frame->data, key);
    return text;
}

static int64_t integer_of(struct json_object *object, const char *key)
{
    struct json_object *value;

    return json_get(&value, object, key) && json_object_is_type(value, json_type_int)
               ? json_object_get_int64(value)
               : 0;
}

static double number_of(const struct frame *frame, const char *key)
{
    struct json_object *value;

    return json_get(&value, frame->data, key) && (json_object_is_type(value, json_type_double) ||
                                                  json_object_is_type(value, json_type_int))
               ? json_object_get_double(value)
               : NAN;
}

static void on_start(struct view *view, const struct frame *frame)
{
    view->rounds = integer_of(frame->data, "total_rounds");
    (void)json_get_bool(&view->demo, frame->data, "demo");
    view->replay = text_of(frame, "replay_of").len > 0;
    scroll(view);
    printf("%s" STR_FMT "%s\n", bold(view),
           STR_ARG(terminal_line(view->turn, text_of(frame, "task"))), normal(view));
    printf("%s%lld rounds, " STR_FMT "%s%s%s\n\n", dim(view), (long long)view->rounds,
           STR_ARG(text_of(frame, "consensus")), view->demo ? ", demo agents (simulated)" : "",
           view->replay ? ", a replay" : "", normal(view));
}

static void on_round(struct view *view, const struct frame *frame)
{
    view->round = frame->round;
    scroll(view);
    printf("%sRound %lld%s\n\n", bold(view), (long long)frame->round, normal(view));
}

/* Where all are simulated, the first line says so. */
static void print_speaker(struct view *view, const struct frame *frame)
{
    bool demo = false;

    (void)json_get_bool(&demo, frame->data, "demo");
    print_agent(view, frame->agent);
    if (demo && !view->demo)
        printf(" %s(simulated)%s", dim(view), normal(view));
}

static void on_message(struct view *view, const struct frame *frame)
{
    struct str role = text_of(frame, "role");

    if (str_is(role, "synthesizer")) /* the event synthesis says the same */
        return;
    view->said++;
    scroll(view);
    print_speaker(view, frame);
    printf(" %s%s%s\n", dim(view),
           str_is(role, "judge") ? "judges"
           : frame->round        ? "revises"
                                 : "proposes",
           normal(view));
    print_wrapped(view, text_of(frame, "content"));
    printf("\n");
}

static void on_critique(struct view *view, const struct frame *frame)
{
    view->said++;
    scroll(view);
    print_speaker(view, frame);
    printf(" %son%s ", dim(view), normal(view));
    print_agent(view, text_of(frame, "target"));
    printf(" %sseverity %.0f of 10%s\n", dim(view), number_of(frame, "severity"), normal(view));
    print_wrapped(view, text_of(frame, "content"));
    printf("\n");
}

static void on_vote(struct view *view, const struct frame *frame)
{
    struct str choice = text_of(frame, "choice");

    view->voted++;
    scroll(view);
    print_speaker(view, frame);
    if (choice.at) {
        printf(" %svotes for%s ", dim(view), normal(view));
        print_agent(view, choice);
        printf(" %s(%.0f %%)%s\n", dim(view), 100 * number_of(frame, "confidence"), normal(view));
    } else {
        printf(" %sabstains%s\n", dim(view), normal(view));
    }
}

static void on_absent(struct view *view, const struct frame *frame)
{
    struct json_object *list;
    struct str agent = STR_NONE, why = STR_NONE;

    if (!json_get(&list, frame->data, "absent_agents") ||
        !json_object_is_type(list, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *item = json_object_array_get_idx(list, i);

        if (json_get_str(&agent, item, "agent") && json_get_str(&why, item, "error_type"))
            view->absent = arena_printf(view->arena, STR_FMT "%s" STR_FMT " (" STR_FMT ")",
                                        STR_ARG(view->absent), view->absent.len ? ", " : "",
                                        STR_ARG(agent), STR_ARG(why));
    }
}

static void on_consensus(struct view *view, const struct frame *frame)
{
    struct json_object *metadata;
    struct str judge;
    bool check = false;

    (void)json_get_bool(&check, frame->data, "is_convergence_check");
    if (check) /* on the way; the verdict comes once */
        return;
    view->has_verdict = true;
    (void)json_get_bool(&view->reached, frame->data, "reached");
    view->confidence = number_of(frame, "confidence");
    view->answer = arena_str(view->arena, text_of(frame, "answer"));
    view->method = arena_str(view->arena, text_of(frame, "method"));
    view->winner = arena_str(view->arena, text_of(frame, "winner"));
    if (json_get(&metadata, frame->data, "metadata") && json_get_str(&judge, metadata, "judge"))
        view->judge = arena_str(view->arena, judge);
    on_absent(view, frame);
    view->strength = arena_str(view->arena, text_of(frame, "strength"));
}

static void on_synthesis(struct view *view, const struct frame *frame)
{
    view->synthesis = arena_str(view->arena, text_of(frame, "content"));
}

static void on_agent_error(struct view *view, const struct frame *frame)
{
    scroll(view);
    print_agent(view, frame->agent);
    printf(" failed: " STR_FMT "\n", STR_ARG(terminal_line(view->turn, text_of(frame, "message"))));
}

static void on_error(struct view *view, const struct frame *frame)
{
    view->error = arena_str(view->arena, text_of(frame, "error"));
}

static void on_end(struct view *view, const struct frame *frame)
{
    struct str status = text_of(frame, "status");

    view->end.ended = true;
    view->end.status = arena_str(view->arena, status);
    view->end.completed = str_is(status, "completed");
    view->end.expects_receipt = !view->replay && (view->end.completed || str_is(status, "timeout"));
    for (size_t i = 0; i < SAYING_MAX; i++)
        view->sayings[i].used = false;
}

static void on_receipt(struct view *view, const struct frame *frame)
{
    view->end.receipt_id = arena_str(view->arena, text_of(frame, "receipt_id"));
}

static void on_token_start(struct view *view, const struct frame *frame)
{
    saying_start(view, frame->agent, frame->task_id, integer_of(frame->data, "attempt"));
}

static void on_token_end(struct view *view, const struct frame *frame)
{
    saying_stop(view, frame->agent, frame->task_id);
}

static void on_delta(struct view *view, const struct frame *frame)
{
    struct saying *saying = saying_find(view, frame->agent, frame->task_id);
    int64_t attempt = integer_of(frame->data, "attempt");

    if (!saying || attempt < saying->attempt)
        return; /* left over from an attempt that is lost */
    if (attempt > saying->attempt)
        buf_clear(&saying->text);
    saying->attempt = attempt;
    buf_str(&saying->text, text_of(frame, "token"));
}

static const struct {
    const char *type;
    void (*handle)(struct view *view, const struct frame *frame);
} handlers[] = {
    { "debate_start", on_start },
    { "round_start", on_round },
    { "agent_message", on_message },
    { "critique", on_critique },
    { "vote", on_vote },
    { "consensus", on_consensus },
    { "synthesis", on_synthesis },
    { "agent_error", on_agent_error },
    { "error", on_error },
    { "debate_end", on_end },
    { "receipt_generated", on_receipt },
    { "token_start", on_token_start },
    { "token_end", on_token_end },
    { "token_discard", on_token_end },
    { "token_delta", on_delta },
};

static bool frame_read(struct frame *out, struct arena *arena, struct str json)
{
    struct json_object *object;

    *out = (struct frame){ 0 };
    if (json_parse(&object, arena, json, &json_limits_wide, NULL) != OK ||
        !json_get_str(&out->type, object, "type") || !json_get(&out->data, object, "data"))
        return false;
    (void)json_get_str(&out->agent, object, "agent");
    (void)json_get_str(&out->task_id, object, "task_id");
    out->seq = integer_of(object, "seq");
    out->round = integer_of(object, "round");
    return true;
}

void view_frame(struct view *view, struct str json)
{
    struct frame frame;
    bool counts;

    arena_reset(view->turn);
    if (!frame_read(&frame, view->turn, json))
        return;
    /* Frames without seq are deltas and the connection's own; the debate_start among these is
     * for who came late, and tells nothing new. */
    counts = frame.seq > view->last_seq || str_is(frame.type, "token_delta");
    if (!counts)
        return;
    if (frame.seq)
        view->last_seq = frame.seq;
    view->changed = view->live;
    for (size_t i = 0; i < COUNT(handlers); i++)
        if (str_is(frame.type, handlers[i].type))
            handlers[i].handle(view, &frame);
    if (!view->live)
        fflush(stdout);
}

struct view_end view_end(const struct view *view)
{
    return view->end;
}

int64_t view_last_seq(const struct view *view)
{
    return view->last_seq;
}

void view_verdict(struct view *view)
{
    arena_reset(view->turn);
    scroll(view);
    view->changed = false;
    if (view->error.len)
        printf("\n%sThe debate failed:%s " STR_FMT "\n", bold(view), normal(view),
               STR_ARG(terminal_line(view->turn, view->error)));
    if (!view->has_verdict) {
        printf("\nThe debate ended without a verdict (" STR_FMT ").\n", STR_ARG(view->end.status));
        return;
    }
    printf("\n%s%s%s", bold(view), view->reached ? "Consensus" : "No consensus", normal(view));
    printf(" (" STR_FMT ", confidence %.0f %%)", STR_ARG(view->method), 100 * view->confidence);
    if (view->judge.len) {
        printf(", decided by ");
        print_agent(view, view->judge);
    } else if (view->winner.len) {
        printf(", led by ");
        print_agent(view, view->winner);
    }
    if (view->absent.len)
        printf("\nAbsent: " STR_FMT, STR_ARG(terminal_line(view->turn, view->absent)));
    printf("\n\n");
    print_wrapped(view, view->answer);
    if (view->synthesis.len && !str_eq(view->synthesis, view->answer)) {
        printf("\n");
        print_wrapped(view, view->synthesis);
    }
    printf("\n");
    fflush(stdout);
}
