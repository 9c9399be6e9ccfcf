/* provider_call.c - a call of a model over HTTP, whatever the interface.
 *
 * The answer counts only when it is whole: status 200, every record readable, a reason to stop,
 * and some text. All else is a fault with its kind and with a word on whether another try may
 * help; trying again is the caller's, who stores each try. The one exception is an answer of 400
 * that names a parameter which can be left out: that is asked once more here, as it cost nothing.
 */
#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/http/retry.h"
#include "debated/agent_kind.h"
#include "debated/cooldown.h"
#include "debated/wire.h"

#define MESSAGE_MAX     500
#define CONTEXT_STEP    1024 /* of the sizes that are asked for: few sizes, few reloads */
#define BYTES_PER_TOKEN 3    /* at least, in ordinary text; to be on the safe side */

struct provider_call {
    struct agent_call call;
    struct arena *scratch;
    const struct provider *provider;
    const struct wire *wire;
    struct agent_settings settings;
    struct http_client *client;
    struct wire_ask ask;
    struct price price;
    struct http_call *http; /* NULL: not sent */
    struct str key, traceparent;
    struct sse sse; /* its lines serve the interfaces without events */
    struct wire_answer answer;
    struct buf text; /* of the answer, whole */
    struct buf raw;
    bool asked_again;
    int64_t wake_us; /* monotonic: not sent before */
    struct agent_report report;
};

/* --- Asking ------------------------------------------------------------------------------ */

static int64_t tokens_at_most(const struct prompt_text *text)
{
    return (int64_t)((text->system.len + text->user.len) / BYTES_PER_TOKEN) + 32;
}

static void write_request(struct buf *body, struct provider_call *call)
{
    call->wire->ask(body, &call->ask);
    call->report.request_digest = sha256_hex(call->call.arena, buf_view(body));
}

static void send_request(struct provider_call *call)
{
    CLEANUP(buf_free) struct buf body = { 0 };
    struct arena *arena = call->call.arena;
    bool routed = call->provider->key == SETTING_OPENROUTER_API_KEY;

    write_request(&body, call);
    struct http_request request = {
        .method = "POST",
        .url = arena_printf(arena, STR_FMT "%s", STR_ARG(provider_base(arena, call->provider)),
                            call->wire->path),
        .body = buf_view(&body),
        .headers = { { "Content-Type", STR("application/json") } },
        .reach = call->settings.offline ? HTTP_LOOPBACK : HTTP_OPERATOR,
        .limits = call->settings.limits,
    };
    size_t n = 1;
    if (call->key.len)
        request.headers[n++] = (struct http_header){
            "Authorization", arena_printf(arena, "Bearer " STR_FMT, STR_ARG(call->key)), true
        };
    if (routed) /* who asks, for its statistics (debates.md 19.7) */
        request.headers[n++] = (struct http_header){ "X-Title", STR("Aragora"), false };
    if (call->traceparent.len)
        request.headers[n++] = (struct http_header){ "traceparent", call->traceparent, false };
    call->http = http_start(call->client, &request);
}

static void answer_clear(struct provider_call *call)
{
    sse_free(&call->sse);
    buf_clear(&call->text);
    buf_clear(&call->raw);
    call->answer = (struct wire_answer){ .arena = call->call.arena,
                                         .scratch = call->scratch,
                                         .text = &call->text,
                                         .tokens_in = INT_NONE,
                                         .tokens_out = INT_NONE,
                                         .cost_micro_usd = INT_NONE };
}

/* --- Judging ----------------------------------------------------------------------------- */

/* A server may repeat our key in its complaint, and let a stack or headers follow it. */
static struct str for_people(struct provider_call *call, struct str text)
{
    CLEANUP(buf_free) struct buf clean = { 0 };
    struct str rest = str_trim(text);
    size_t at;

    (void)str_split(&text, &rest, '\n');
    text = str_trim(text);

    while (call->key.len && str_find(&at, text, call->key)) {
        buf_str(&clean, str_slice(text, 0, at));
        buf_str(&clean, STR("[key]"));
        text = str_slice(text, at + call->key.len, text.len);
    }
    buf_str(&clean, text);
    return arena_str(call->call.arena, str_cut(buf_view(&clean), MESSAGE_MAX));
}

static enum call_state failed(struct provider_call *call, enum agent_fault fault,
                              enum agent_retry retry, struct str what)
{
    call->report.fault = fault;
    call->report.retry = retry;
    call->report.message = for_people(call, what);
    return CALL_FAILED;
}

static enum agent_fault fault_of_status(int status)
{
    switch (status) {
    case 400:
    case 413:
    case 422:
        return AGENT_VALIDATION;
    case 401:
    case 402:
    case 403:
        return AGENT_AUTH;
    case 404:
        return AGENT_MODEL;
    case 408:
    case 504:
        return AGENT_TIMEOUT;
    case 429:
        return AGENT_RATE_LIMIT;
    default:
        return status >= 500 ? AGENT_NETWORK : AGENT_UNKNOWN;
    }
}

static struct str said_by(struct provider_call *call, const char *how, struct str error)
{
    return arena_printf(call->call.arena, "%s %s: " STR_FMT, call->provider->name, how,
                        STR_ARG(error));
}

static enum call_state fail_http(struct provider_call *call)
{
    enum http_fault fault = http_fault(call->http);
    bool late = fault == HTTP_LATE_CONNECTION || fault == HTTP_LATE_FIRST_BYTE ||
                fault == HTTP_LATE_CHUNK || fault == HTTP_LATE_END;

    return failed(call, late ? AGENT_TIMEOUT : AGENT_NETWORK,
                  http_fault_is_early(fault) ? RETRY_OFTEN
                  : fault == HTTP_CUT        ? RETRY_ONCE
                                             : RETRY_NEVER,
                  said_by(call, "failed", str_from(http_fault_text(fault))));
}

static void cool_down(struct provider_call *call, int64_t asked_us)
{
    int64_t most_us = call->settings.retries.server_most_us;

    cooldown_set(call->settings.cooldowns, call->provider,
                 monotonic_us() + (asked_us < most_us ? asked_us : most_us));
}

static enum call_state fail_status(struct provider_call *call, int status)
{
    struct str after = http_answer_header(call->http, "Retry-After");
    struct json_object *body;

    if (retry_after_parse(&call->report.retry_after_us, after, utc_now()))
        cool_down(call, call->report.retry_after_us);
    if (json_parse(&body, call->call.arena, buf_view(&call->raw), &json_limits_wide, NULL) != OK ||
        !wire_error(&call->answer, body))
        call->answer.error = arena_printf(call->call.arena, "no reason was given");
    return failed(call, fault_of_status(status), retry_status(status) ? RETRY_OFTEN : RETRY_NEVER,
                  arena_printf(call->call.arena, "%s answered %d: " STR_FMT, call->provider->name,
                               status, STR_ARG(call->answer.error)));
}

/* A prompt that fills the context was cut to it. */
static bool was_cut(const struct provider_call *call)
{
    return call->wire == &wire_ollama && call->answer.tokens_in != INT_NONE &&
           call->answer.tokens_in >= call->ask.context_tokens;
}

static enum call_state judge(struct provider_call *call)
{
    const struct wire_answer *answer = &call->answer;

    if (answer->error.at)
        return failed(call,
                      answer->error_status ? fault_of_status(answer->error_status) : AGENT_UNKNOWN,
                      retry_status(answer->error_status) ? RETRY_OFTEN : RETRY_NEVER,
                      said_by(call, "reported an error", answer->error));
    if (answer->broken)
        return failed(call, AGENT_BROKEN, RETRY_ONCE,
                      said_by(call, "failed", STR("a piece of the answer could not be read")));
    switch (answer->finish) {
    case FINISH_REFUSED:
        return failed(call, AGENT_CONTENT_POLICY, RETRY_NEVER,
                      said_by(call, "refused", STR("its content policy forbids the reply")));
    case FINISH_LENGTH:
        return failed(call, AGENT_TRUNCATED, RETRY_NEVER,
                      said_by(call, "failed",
                              STR("the reply was cut at its greatest length, which "
                                  "ARAGORA_PROVIDER_MAX_TOKENS sets")));
    case FINISH_OPEN:
        return failed(call, AGENT_BROKEN, RETRY_ONCE,
                      said_by(call, "failed", STR("the answer ended before it was complete")));
    case FINISH_STOP:
        break;
    }
    if (was_cut(call))
        return failed(call, AGENT_VALIDATION, RETRY_NEVER,
                      said_by(call, "failed", STR("the prompt did not fit the model's context")));
    if (!str_trim(buf_view(&call->text)).len)
        return failed(call, AGENT_EMPTY, RETRY_ONCE,
                      said_by(call, "failed", STR("the reply is empty")));
    return CALL_DONE;
}

/* An error in a 200 may come as plain JSON, as no stream at all. */
static void read_plain_error(struct provider_call *call)
{
    struct json_object *body;

    if (!call->answer.closed && !call->text.len &&
        json_parse(&body, call->call.arena, buf_view(&call->raw), &json_limits_wide, NULL) == OK)
        (void)wire_error(&call->answer, body);
}

/* true: the refused parameter is left out, and the request is on its way again. */
static bool asked_again(struct provider_call *call)
{
    unsigned blamed = call->wire->blames(buf_view(&call->raw));

    if (http_status(call->http) != 400 || call->asked_again || !blamed)
        return false;
    call->asked_again = true;
    call->ask.without |= blamed;
    http_end(call->http);
    answer_clear(call);
    send_request(call);
    return true;
}

static enum call_state settle(struct provider_call *call, enum http_state state)
{
    int status = http_status(call->http);

    if (state == HTTP_FAILED)
        return fail_http(call);
    if (status != 200) {
        if (asked_again(call))
            return CALL_RUNNING;
        return fail_status(call, status);
    }
    read_plain_error(call);
    return judge(call);
}

/* Up to a tenth longer than the provider asked for, so that not all come back at once. */
static bool must_wait(struct provider_call *call, int64_t now_us)
{
    int64_t until_us = cooldown_until(call->settings.cooldowns, call->provider);
    uint64_t random;

    if (until_us > now_us && until_us > call->wake_us) {
        random_bytes(&random, sizeof(random));
        call->wake_us = until_us + (int64_t)(random % (uint64_t)((until_us - now_us) / 10 + 1));
    }
    return call->wake_us > now_us;
}

/* --- The call ---------------------------------------------------------------------------- */

static enum call_state advance(struct agent_call *agent, struct buf *text, int64_t now_us,
                               int64_t *due_us)
{
    CLEANUP(buf_free) struct buf arrived = { 0 };
    struct provider_call *call = (struct provider_call *)agent;
    size_t before = call->text.len;

    if (call->report.message.at)
        return CALL_FAILED;
    if (!call->http && must_wait(call, now_us)) {
        *due_us = call->wake_us;
        return CALL_RUNNING;
    }
    if (!call->http)
        send_request(call);
    http_advance(call->client);
    enum http_state state = http_read(call->http, &arrived);
    buf_str(&call->raw, buf_view(&arrived));
    if (http_status(call->http) == 200)
        wire_read(&call->answer, &call->sse, call->wire, buf_view(&arrived));
    buf_str(text, str_slice(buf_view(&call->text), before, call->text.len));
    *due_us = http_due_us(call->http);
    if (state == HTTP_RUNNING && !wire_is_over(&call->answer))
        return CALL_RUNNING;
    enum call_state end = wire_is_over(&call->answer) ? judge(call) : settle(call, state);
    if (end == CALL_RUNNING)
        *due_us = http_due_us(call->http);
    return end;
}

/* Nobody generated anything: it was not sent, nobody was reached, or it was refused. */
static bool was_free(const struct provider_call *call)
{
    int status = call->http ? http_status(call->http) : 0;

    return !call->http || (status != 0 && status != 200) ||
           http_fault_is_early(http_fault(call->http));
}

static void fill_usage(struct agent_report *out, const struct provider_call *call)
{
    const struct wire_answer *answer = &call->answer;

    out->tokens_in = answer->tokens_in;
    out->tokens_out = answer->tokens_out;
    out->cost_micro_usd = answer->cost_micro_usd;
    if (was_free(call)) {
        out->tokens_in = out->tokens_out = out->cost_micro_usd = 0;
        return;
    }
    out->estimated = out->tokens_in == INT_NONE || out->tokens_out == INT_NONE;
    if (out->estimated && !call->raw.len) { /* it may have run to its end unheard */
        out->tokens_in = call->call.plan.tokens_in;
        out->tokens_out = call->call.plan.tokens_out;
        out->cost_micro_usd = call->call.plan.worst_micro_usd;
    } else if (out->estimated) { /* four characters a token (debates.md 18) */
        out->tokens_in = (int64_t)(call->ask.text.system.len + call->ask.text.user.len + 3) / 4;
        out->tokens_out = (int64_t)(call->text.len + 3) / 4;
    }
    if (out->cost_micro_usd == INT_NONE)
        out->cost_micro_usd = price_of(&call->price, out->tokens_in, out->tokens_out);
}

static void report(struct agent_report *out, struct agent_call *agent)
{
    struct provider_call *call = (struct provider_call *)agent;

    *out = call->report;
    out->model_served = call->answer.model;
    out->reply = buf_view(&call->raw);
    if (call->http)
        out->first_byte_at = http_first_byte(call->http);
    fill_usage(out, call);
}

static void cancel(struct agent_call *agent)
{
    struct provider_call *call = (struct provider_call *)agent;

    http_end(call->http);
    sse_free(&call->sse);
    buf_free(&call->text);
    buf_free(&call->raw);
    arena_free(call->scratch);
}

static void plan(struct provider_call *call)
{
    CLEANUP(buf_free) struct buf body = { 0 };
    struct agent_plan *plan = &call->call.plan;
    int64_t needed = tokens_at_most(&call->ask.text) + call->ask.reply_tokens;

    call->ask.context_tokens = (needed + CONTEXT_STEP - 1) / CONTEXT_STEP * CONTEXT_STEP;
    write_request(&body, call);
    *plan = (struct agent_plan){ .provider = str_from(call->provider->name),
                                 .model = call->ask.model,
                                 .request_digest = call->report.request_digest,
                                 .tokens_in = tokens_at_most(&call->ask.text),
                                 .tokens_out = call->ask.reply_tokens };
    plan->worst_micro_usd = price_worst(&call->price, plan->tokens_in, plan->tokens_out);
    if (call->wire == &wire_ollama && call->ask.context_tokens > call->settings.context_tokens)
        (void)failed(call, AGENT_VALIDATION, RETRY_NEVER,
                     STR("The prompt is longer than ARAGORA_OLLAMA_MAX_CONTEXT"));
}

struct agent_call *provider_start(const struct agent_request *request,
                                  const struct provider *provider)
{
    static const struct agent_kind kind = { advance, report, cancel };
    struct arena *arena = arena_new();
    struct provider_call *call = arena_alloc(arena, sizeof(*call));

    call->call = (struct agent_call){ .kind = &kind, .arena = arena };
    call->scratch = arena_new();
    call->provider = provider;
    call->wire = wire_of(provider);
    call->settings = *request->settings;
    call->client = request->http;
    call->key = provider_key(provider);
    call->traceparent = arena_str(arena, request->traceparent);
    call->ask = (struct wire_ask){
        .provider = provider,
        .model = arena_str(arena, request->model.len ? request->model : provider_model(provider)),
        .reply_tokens = call->settings.reply_tokens,
    };
    call->price = provider_price(provider, call->ask.model);
    call->report = (struct agent_report){ .retry_after_us = INT_NONE,
                                          .tokens_in = INT_NONE,
                                          .tokens_out = INT_NONE,
                                          .cost_micro_usd = INT_NONE };
    prompt_build(&call->ask.text, arena, request->prompt);
    answer_clear(call);
    plan(call);
    return &call->call;
}
