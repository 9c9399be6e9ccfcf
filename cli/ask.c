/* ask.c - aragora ask: starts a debate on a running server and shows it as it happens.
 *
 * A lost connection is opened again, and goes on behind the last event that was seen. */
#include "cli/client.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/view.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/json.h"

#include <locale.h>
#include <signal.h>
#include <unistd.h>

#define TICK_MS    50
#define GIVE_UP_US (60 * US_PER_S) /* without a connection */
#define RETRY_US   (200 * US_PER_MS)
#define RECEIPT_US (10 * US_PER_S) /* from debate_end on */

static volatile sig_atomic_t interrupted;

static void interrupt(int number UNUSED)
{
    interrupted = 1;
}

static struct endpoint endpoint_of(const struct arguments *arguments)
{
    const char *url = argument_last(arguments, OPTION_URL);
    const char *key = argument_last(arguments, OPTION_KEY);
    struct str token = key ? str_from(key) : setting_str(SETTING_API_KEY);
    struct str base = str_from(url ? url : "");

    if (!url)
        base = setting_str(SETTING_PUBLIC_URL);
    if (!base.len)
        base = setting_flag(SETTING_SSL) ? STR("https://127.0.0.1:8080")
                                         : STR("http://127.0.0.1:8080");
    while (str_ends(base, STR("/")))
        base.len--;
    return (struct endpoint){ base, token.len ? token : setting_str(SETTING_API_TOKEN),
                              setting_str(SETTING_SSL_CERT_FILE) };
}

/* --- The request ------------------------------------------------------------------------- */

/* false: nobody is named, which would leave the choice to the server. */
static bool add_agents(struct buf *out, struct str names)
{
    struct str part;
    bool any = false;

    buf_json_key(out, STR("agents"));
    buf_char(out, '[');
    while (str_split(&part, &names, ',')) {
        if (!str_trim(part).len)
            continue;
        buf_json_comma(out);
        buf_json_str(out, str_trim(part));
        any = true;
    }
    buf_char(out, ']');
    return any;
}

/* false: said what is wrong. */
static bool write_request(struct buf *out, const struct arguments *arguments)
{
    const char *agents = argument_last(arguments, OPTION_AGENTS);
    const char *rounds = argument_last(arguments, OPTION_ROUNDS);
    const char *consensus = argument_last(arguments, OPTION_CONSENSUS);
    int64_t number = 0;

    if (rounds && !str_int(&number, str_from(rounds), 1, 20)) {
        fputs("aragora: --rounds: a number from 1 to 20\n", stderr);
        return false;
    }
    if (!str_is_text(str_from(arguments->at[0])) || (agents && !str_is_text(str_from(agents))) ||
        (consensus && !str_is_text(str_from(consensus)))) {
        fputs("aragora: an argument is not UTF-8\n", stderr);
        return false;
    }
    buf_str(out, STR("{\"task\":"));
    buf_json_str(out, str_from(arguments->at[0]));
    if (agents && !add_agents(out, str_from(agents))) {
        fputs("aragora: --agents: no agent is named\n", stderr);
        return false;
    }
    if (number) {
        buf_json_key(out, STR("rounds"));
        buf_json_int(out, number);
    }
    if (consensus) {
        buf_json_key(out, STR("consensus"));
        buf_json_str(out, str_from(consensus));
    }
    buf_char(out, '}');
    return true;
}

static bool start_debate(struct str *id, struct arena *arena, const struct endpoint *endpoint,
                         struct str request)
{
    struct json_object *body;
    struct answer answer = client_request(arena, endpoint, "POST", STR("/api/v1/debates"), request);

    if (answer.status == 200 &&
        json_parse(&body, arena, answer.body, &json_limits_wide, NULL) == OK &&
        json_get_str(id, body, "debate_id"))
        return true;
    fprintf(stderr, "aragora: " STR_FMT ": " STR_FMT "\n", STR_ARG(endpoint->url),
            STR_ARG(terminal_line(arena, answer_problem(arena, &answer))));
    if (!answer.status)
        fputs("aragora: aragora serve starts a server; --url names one elsewhere\n", stderr);
    if (answer.status == 401)
        fputs("aragora: give a key with --key or ARAGORA_API_KEY;"
              " aragora apikey create makes one\n",
              stderr);
    return false;
}

/* --- Watching ---------------------------------------------------------------------------- */

static bool is_over(const struct view *view, int64_t ended_us)
{
    struct view_end end = view_end(view);

    if (!end.ended)
        return false;
    return !end.expects_receipt || end.receipt_id.at || monotonic_us() - ended_us > RECEIPT_US;
}

/* Until the debate is over or the connection is lost. */
static void watch(struct view *view, struct stream *stream)
{
    enum stream_step step = STREAM_QUIET;
    int64_t ended_us = 0;
    struct str frame;

    while (!interrupted && step != STREAM_LOST && !is_over(view, ended_us)) {
        step = stream_next(&frame, stream, TICK_MS);
        if (step == STREAM_MESSAGE)
            view_frame(view, frame);
        if (view_end(view).ended && !ended_us)
            ended_us = monotonic_us();
        view_tick(view);
    }
}

/* false: given up; said why. */
static bool follow(struct view *view, const struct endpoint *endpoint, struct str id)
{
    int64_t lost_us = monotonic_us();
    bool told = false, refused = false;
    struct str problem = STR("");

    while (!interrupted && !refused && monotonic_us() - lost_us < GIVE_UP_US) {
        CLEANUP(arena_cleanup) struct arena *arena = arena_new();
        struct stream *stream =
            stream_open(arena, endpoint, id, view_last_seq(view), &problem, &refused);

        if (stream) {
            if (told)
                view_notice(view, "connected again");
            watch(view, stream);
            stream_close(stream);
            told = false;
            lost_us = monotonic_us();
            if (view_end(view).ended)
                return true;
        }
        if (!told && !interrupted)
            view_notice(view, "no connection, trying again");
        told = true;
        usleep(RETRY_US);
    }
    if (!interrupted)
        fprintf(stderr, "aragora: the stream cannot be followed: " STR_FMT "\n", STR_ARG(problem));
    return false;
}

/* --- The receipt ------------------------------------------------------------------------- */

static bool save(struct arena *arena, const char *path, struct str content)
{
    if (file_write(arena, str_from(path), content, 0644) == OK)
        return true;
    fprintf(stderr, "aragora: %s: cannot be written\n", path);
    return false;
}

static struct str signing_key(struct arena *arena, const struct endpoint *endpoint,
                              struct str document)
{
    struct json_object *object, *signature;
    struct str key_id, pem = STR_NONE;

    if (json_parse(&object, arena, document, &json_limits_wide, NULL) != OK ||
        !json_get(&signature, object, "signature") || !json_get_str(&key_id, signature, "key_id") ||
        !field_matches(PATTERN_ID, key_id))
        return STR_NONE;
    struct answer answer = client_request(
        arena, endpoint, "GET",
        arena_printf(arena, "/api/v2/receipts/signing-key?key_id=" STR_FMT, STR_ARG(key_id)),
        STR_NONE);
    if (answer.status == 200 &&
        json_parse(&object, arena, answer.body, &json_limits_wide, NULL) == OK)
        (void)json_get_str(&pem, object, "public_key_pem");
    return pem;
}

/* Saves what was asked for. false: it could not be had; said why. */
static bool fetch_receipt(struct arena *arena, const struct arguments *arguments,
                          const struct endpoint *endpoint, struct str receipt_id)
{
    const char *path = argument_last(arguments, OPTION_RECEIPT);
    const char *key_path = argument_last(arguments, OPTION_PUBKEY);

    if (!path && !key_path)
        return true;
    struct answer answer = client_request(
        arena, endpoint, "GET",
        arena_printf(arena, "/api/v2/receipts/" STR_FMT "/export?format=json", STR_ARG(receipt_id)),
        STR_NONE);
    if (answer.status != 200) {
        fprintf(stderr, "aragora: the receipt cannot be read: " STR_FMT "\n",
                STR_ARG(answer_problem(arena, &answer)));
        return false;
    }
    struct str key = key_path ? signing_key(arena, endpoint, answer.body) : STR_NONE;
    if (key_path && !key.at) {
        fputs("aragora: the server has no public key for this receipt\n", stderr);
        return false;
    }
    return (!path || save(arena, path, answer.body)) && (!key_path || save(arena, key_path, key));
}

/* --- A debate without a verdict ---------------------------------------------------------- */

/* Why it failed, or how else it ended, in one line. */
static void say_end(struct arena *arena, const struct endpoint *endpoint, struct str id,
                    struct str status)
{
    struct json_object *debate;
    struct str error;
    struct answer answer =
        client_request(arena, endpoint, "GET",
                       arena_printf(arena, "/api/v1/debates/" STR_FMT, STR_ARG(id)), STR_NONE);

    if (str_is(status, "error") && answer.status == 200 &&
        json_parse(&debate, arena, answer.body, &json_limits_wide, NULL) == OK &&
        json_get_str(&error, debate, "error"))
        fprintf(stderr,
                "aragora: the debate failed: " STR_FMT "; aragora doctor looks for the cause\n",
                STR_ARG(terminal_line(arena, error)));
    else
        fprintf(stderr, "aragora: the debate ended without a verdict: " STR_FMT "\n",
                STR_ARG(terminal_line(arena, status)));
}

/* --- The command ------------------------------------------------------------------------- */

static int finish(struct arena *arena, const struct arguments *arguments,
                  const struct endpoint *endpoint, struct view *view, struct str id)
{
    struct view_end end = view_end(view);

    view_verdict(view);
    printf("debate  " STR_FMT "\n", STR_ARG(id));
    fflush(stdout);
    if (!end.completed)
        say_end(arena, endpoint, id, end.status);
    if (end.receipt_id.at) {
        printf("receipt " STR_FMT "\n", STR_ARG(end.receipt_id));
        if (!fetch_receipt(arena, arguments, endpoint, end.receipt_id))
            return EXIT_FAILED;
    } else if (argument_last(arguments, OPTION_RECEIPT)) {
        fputs("aragora: this debate has no receipt\n", stderr);
        return EXIT_FAILED;
    }
    return end.completed ? EXIT_DONE : EXIT_FAILED;
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(buf_free) struct buf request = { 0 };
    const char *followed = argument_last(arguments, OPTION_FOLLOW);
    struct endpoint endpoint = endpoint_of(arguments);
    struct str id = str_from(followed);

    if (arguments->count != (followed ? 0 : 1) || (followed && !field_matches(PATTERN_SLUG, id)))
        return command_misused(arguments->command);
    if (!followed && !write_request(&request, arguments))
        return EXIT_USAGE;
    (void)setlocale(LC_CTYPE, "");
    signal(SIGINT, interrupt);
    if (!followed && !start_debate(&id, arena, &endpoint, buf_view(&request)))
        return EXIT_FAILED;
    struct view *view = view_new(argument_last(arguments, OPTION_PLAIN) != NULL);
    bool watched = follow(view, &endpoint, id);
    int status = watched ? finish(arena, arguments, &endpoint, view, id) : EXIT_FAILED;
    view_free(view);
    if (interrupted)
        fprintf(stderr,
                "aragora: the debate goes on; aragora ask --follow " STR_FMT " shows it again\n",
                STR_ARG(id));
    return status;
}

static const struct option options[] = {
    { "--agents", "LIST", "who takes part: provider:model or demo, separated by commas",
      OPTION_AGENTS, 0 },
    { "--rounds", "N", "rounds of critique and revision", OPTION_ROUNDS, 0 },
    { "--consensus", "RULE", "majority, weighted, supermajority, any, unanimous or judge",
      OPTION_CONSENSUS, 0 },
    { "--follow", "ID", "show a debate that was started before, from its start", OPTION_FOLLOW, 0 },
    { "--url", "URL", "the server; else ARAGORA_PUBLIC_URL, else http://127.0.0.1:8080", OPTION_URL,
      0 },
    { "--key", "KEY", "an API key; else ARAGORA_API_KEY, else ARAGORA_API_TOKEN", OPTION_KEY, 0 },
    { "--ca", "FILE", "authorities to trust beside the system's", OPTION_SETTING,
      SETTING_SSL_CERT_FILE },
    { "--receipt", "FILE", "save the receipt", OPTION_RECEIPT, 0 },
    { "--pubkey", "FILE", "save the public key that checks it", OPTION_PUBKEY, 0 },
    { "--plain", NULL, "nothing that moves, no colours", OPTION_PLAIN, 0 },
    { 0 },
};

const struct command command_ask = {
    "ask", "QUESTION", "start a debate on a running server and show it live", options, run,
};
