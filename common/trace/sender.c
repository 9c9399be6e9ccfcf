#include "common/trace/sender.h"

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/http/retry.h"

#define CONNECT_US   (10 * US_PER_S)
#define ANSWER_BYTES 65536
#define LOOK_US      (50 * US_PER_MS)

/* The four that the specification names; another 5xx is not tried again. */
static bool is_retryable(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* partialSuccess: what was not taken is not sent again. */
static int64_t rejected_spans(struct str body)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct json_object *answer, *partial, *count;
    int64_t rejected = 0;

    if (json_parse(&answer, arena, body, &json_limits_wide, NULL) != OK ||
        !json_get(&partial, answer, "partialSuccess") ||
        !json_get(&count, partial, "rejectedSpans"))
        return 0;
    if (json_object_is_type(count, json_type_int))
        rejected = json_object_get_int64(count);
    else if (!str_int(&rejected, json_str(count), 0, INT64_MAX))
        rejected = 0;
    return rejected > 0 ? rejected : 0;
}

static enum sent judge(struct sent_report *report, struct http_call *call, enum http_state state,
                       struct str body)
{
    report->status = state == HTTP_DONE ? http_status(call) : 0;
    if (state == HTTP_FAILED) {
        enum http_fault fault = http_fault(call);

        report->problem = http_fault_text(fault);
        return fault == HTTP_BAD_REQUEST || fault == HTTP_BLOCKED ? SENT_NEVER : SENT_LATER;
    }
    if (report->status >= 200 && report->status <= 299) {
        report->rejected = rejected_spans(body);
        return SENT;
    }
    report->problem = "the collector refused them";
    if (!is_retryable(report->status))
        return SENT_NEVER;
    if (!retry_after_parse(&report->wait_us, http_answer_header(call, "Retry-After"), utc_now()))
        report->wait_us = INT_NONE;
    return SENT_LATER;
}

static struct http_call *begin(struct http_client *client, const struct sender_config *config,
                               struct str body)
{
    struct http_request request = {
        .method = "POST",
        .url = config->url,
        .body = body,
        .headers = { { "Content-Type", STR("application/json"), false } },
        .reach = config->reach,
        .limits = { .connect_us = config->timeout_us < CONNECT_US ? config->timeout_us : CONNECT_US,
                    .total_us = config->timeout_us,
                    .bytes = ANSWER_BYTES },
    };

    for (size_t i = 0; i < SENDER_HEADERS && config->headers[i].name; i++)
        request.headers[i + 1] = config->headers[i];
    return http_start(client, &request);
}

enum sent send_request(struct sent_report *report, struct http_client *client,
                       const struct sender_config *config, struct str body,
                       bool (*go_on)(void *arg), void *arg)
{
    CLEANUP(buf_free) struct buf answer = { 0 };
    struct http_call *call = begin(client, config, body);
    enum http_state state = HTTP_RUNNING;
    enum sent sent = SENT_LATER;

    *report = (struct sent_report){ .wait_us = INT_NONE, .problem = "no time was left" };
    while (state == HTTP_RUNNING) {
        int64_t until_us = monotonic_us() + LOOK_US;

        http_advance(client);
        state = http_read(call, &answer);
        if (state != HTTP_RUNNING)
            sent = judge(report, call, state, buf_view(&answer));
        else if (!go_on(arg))
            break;
        else
            http_wait(client, until_us < http_due_us(call) ? until_us : http_due_us(call));
    }
    http_end(call);
    return sent;
}
