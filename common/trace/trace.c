/* trace.c - which exporter, sampler and resource the settings ask for.
 *
 * What is asked for and not supported is refused by its name: spans that silently go nowhere are
 * found missing when they are needed. */
#include "common/trace/trace.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/base/version.h"
#include "common/trace/exporter.h"
#include "common/trace/otlp.h"
#include "common/trace/sampler.h"

#include <stdio.h>
#include <unistd.h>

#define STOP_US US_PER_S

static struct {
    struct sampler sampler;
    struct arena *arena; /* as long as the process exports */
    char problem[256];
} state;

static enum result refused(enum setting setting, const char *why)
{
    snprintf(state.problem, sizeof(state.problem), "%s: %s", setting_row(setting)->name, why);
    return ERR_SETTING;
}

/* The first that is set, else the last. */
static enum setting either(enum setting first, enum setting second)
{
    return setting_given(first) ? first : second;
}

static bool is_word(enum setting setting, const char *word)
{
    return str_eq_nocase(setting_str(setting), str_from(word));
}

/* --- Lists of name=value, percent-encoded (W3C Baggage 3.2) ------------------------------- */

struct pair {
    struct str name, value;
};

static struct str decoded(struct str text)
{
    char *out = arena_alloc(state.arena, text.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++, len++) {
        unsigned char byte;

        if (text.at[i] == '%' && hex_bytes(&byte, 1, str_slice(text, i + 1, i + 3))) {
            out[len] = (char)byte;
            i += 2;
        } else {
            out[len] = text.at[i];
        }
    }
    return (struct str){ out, len };
}

/* *rest gets shorter by a pair. false: none is left, or it is none (*good). */
static bool next_pair(struct pair *out, struct str *rest, bool *good)
{
    struct str member, name;

    do
        if (!str_split(&member, rest, ','))
            return false;
    while (!str_trim(member).len);
    *good = str_split(&name, &member, '=') && member.at && str_trim(name).len;
    if (!*good)
        return false;
    *out = (struct pair){ str_trim(name), decoded(str_trim(member)) };
    *good = str_is_text(out->value);
    return *good;
}

/* --- The sender -------------------------------------------------------------------------- */

static bool is_token(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= ' ' || name.at[i] > '~' || strchr("\"(),/:;<=>?@[\\]{}", name.at[i]))
            return false;
    return name.len > 0;
}

static bool add_header(struct sender_config *out, struct pair pair)
{
    for (size_t i = 0; i < SENDER_HEADERS && is_token(pair.name); i++) {
        if (out->headers[i].name)
            continue;
        out->headers[i] = (struct http_header){ arena_cstr(state.arena, pair.name),
                                                arena_str(state.arena, pair.value), true };
        return !memchr(pair.value.at, '\n', pair.value.len) &&
               !memchr(pair.value.at, '\r', pair.value.len);
    }
    return false;
}

static const char bad_headers[] = "not headers that can be sent; six at most";

/* OTEL_EXPORTER_OTLP_HEADERS has pairs, ARAGORA_OTLP_HEADERS an object. */
static enum result read_headers(struct sender_config *out)
{
    struct str rest = setting_str(SETTING_OTEL_HEADERS);
    struct json_object *object = NULL;
    struct pair pair;
    bool good = true;

    while (next_pair(&pair, &rest, &good))
        if (!add_header(out, pair))
            return refused(SETTING_OTEL_HEADERS, bad_headers);
    if (!good)
        return refused(SETTING_OTEL_HEADERS, bad_headers);
    if (setting_given(SETTING_OTEL_HEADERS) || !setting_given(SETTING_OTLP_HEADERS))
        return OK;
    if (json_parse(&object, state.arena, setting_str(SETTING_OTLP_HEADERS), &json_limits_wide,
                   NULL) != OK ||
        !json_object_is_type(object, json_type_object))
        return refused(SETTING_OTLP_HEADERS, "not a JSON object");
    json_object_object_foreach(object, name, value)
    {
        if (!json_object_is_type(value, json_type_string) ||
            !add_header(out, (struct pair){ str_from(name), json_str(value) }))
            return refused(SETTING_OTLP_HEADERS, bad_headers);
    }
    return OK;
}

static enum result read_sender(struct sender_config *out)
{
    enum setting endpoint = either(SETTING_OTEL_ENDPOINT, SETTING_OTLP_ENDPOINT);
    enum setting protocol = either(SETTING_OTEL_PROTOCOL, SETTING_OTLP_PROTOCOL);
    struct str base = setting_str(endpoint);

    if (!is_word(protocol, "http/json"))
        return refused(protocol, "only http/json is spoken");
    if (!str_starts(base, STR("http://")) && !str_starts(base, STR("https://")))
        return refused(endpoint, "not an address that begins with http:// or https://");
    while (str_ends(base, STR("/")))
        base = str_slice(base, 0, base.len - 1);
    *out = (struct sender_config){
        .url = arena_printf(state.arena, STR_FMT "/v1/traces", STR_ARG(base)),
        .http = { .proxy = setting_str(SETTING_HTTPS_PROXY),
                  .no_proxy = setting_str(SETTING_NO_PROXY),
                  .ca_file = setting_str(SETTING_CA_BUNDLE) },
        .reach = setting_flag(SETTING_OFFLINE) ? HTTP_LOOPBACK : HTTP_OPERATOR,
        .timeout_us = setting_int(SETTING_OTLP_TIMEOUT) * US_PER_MS,
    };
    return read_headers(out);
}

/* --- The resource ------------------------------------------------------------------------ */

static struct str first_set(enum setting first, enum setting second, struct str otherwise)
{
    enum setting setting = either(first, second);

    return setting_given(setting) ? setting_str(setting) : otherwise;
}

static enum result read_resource(struct str *out, const char *program)
{
    static const char bad[] = "not name=value pairs, separated by commas";
    struct buf *text = arena_buf(state.arena);
    struct str rest = setting_str(SETTING_OTEL_RESOURCE), environment = STR_NONE;
    char host[256] = "";
    struct pair pair;
    bool good = true;

    while (next_pair(&pair, &rest, &good)) {
        if (str_is(pair.name, "service.name") || str_is(pair.name, "service.version"))
            continue; /* they have settings of their own */
        if (str_is(pair.name, "deployment.environment"))
            environment = pair.value;
        else
            otlp_str(text, arena_cstr(state.arena, pair.name), pair.value);
    }
    if (!good)
        return refused(SETTING_OTEL_RESOURCE, bad);
    if (!environment.at)
        environment = first_set(SETTING_ENVIRONMENT, SETTING_ENV, STR("development"));
    otlp_str(text, "service.name",
             first_set(SETTING_OTEL_SERVICE, SETTING_SERVICE_NAME, str_from(program)));
    otlp_str(text, "service.version",
             first_set(SETTING_SERVICE_VERSION, SETTING_SERVICE_VERSION, STR(ARAGORA_VERSION)));
    otlp_str(text, "deployment.environment", environment);
    otlp_str(text, "process.executable.name", str_from(program));
    otlp_int(text, "process.pid", getpid());
    if (gethostname(host, sizeof(host) - 1) == 0 && str_is_text(str_from(host)))
        otlp_str(text, "host.name", str_from(host));
    otlp_str(text, "telemetry.sdk.name", STR("aragora"));
    otlp_str(text, "telemetry.sdk.language", STR("c"));
    otlp_str(text, "telemetry.sdk.version", STR(ARAGORA_VERSION));
    *out = buf_view(text);
    return OK;
}

/* --- Start ------------------------------------------------------------------------------- */

static enum result read_sampler(void)
{
    enum setting rate = either(SETTING_OTEL_SAMPLER_ARG, SETTING_SAMPLE_RATE);

    return sampler_read(&state.sampler, setting_str(SETTING_OTEL_SAMPLER), setting_real(rate))
               ? OK
               : refused(SETTING_OTEL_SAMPLER, "not a sampler that is known");
}

static enum result check_propagators(void)
{
    struct str rest = setting_str(SETTING_OTEL_PROPAGATORS), word;

    while (str_split(&word, &rest, ',')) {
        word = str_trim(word);
        if (word.len && !str_is(word, "tracecontext") && !str_is(word, "baggage") &&
            !str_is(word, "none"))
            return refused(SETTING_OTEL_PROPAGATORS, "only tracecontext and baggage are known");
    }
    return OK;
}

bool trace_is_told(void)
{
    size_t at;

    return str_find(&at, setting_str(SETTING_OTEL_PROPAGATORS), STR("tracecontext"));
}

/* http.md 9: an endpoint, or an exporter by name. */
static enum result is_wanted(bool *wanted)
{
    bool named = !is_word(SETTING_OTLP_EXPORTER, "none");
    enum setting endpoint = either(SETTING_OTEL_ENDPOINT, SETTING_OTLP_ENDPOINT);

    *wanted = false;
    if ((setting_given(SETTING_TRACING) && !setting_flag(SETTING_TRACING)) ||
        (setting_given(SETTING_OTEL_ENABLED) && !setting_flag(SETTING_OTEL_ENABLED)))
        return OK;
    if (named && !is_word(SETTING_OTLP_EXPORTER, "otlp_http"))
        return refused(SETTING_OTLP_EXPORTER, "only otlp_http is known");
    if (named && !setting_given(endpoint))
        log_event(LOG_WARNING, "spans are not exported", "problem", "no endpoint is set");
    *wanted = setting_given(endpoint) && (named || setting_given(SETTING_OTEL_ENDPOINT));
    return OK;
}

/* *wanted: spans are exported. */
static enum result configure(struct exporter_config *config, bool *wanted, const char *program)
{
    *config = (struct exporter_config){
        .batch = (size_t)setting_int(SETTING_OTLP_BATCH),
        .data_directory = setting_cstr(SETTING_DATA_DIR),
    };
    TRY(is_wanted(wanted));
    if (!*wanted)
        return OK;
    TRY(check_propagators());
    TRY(read_sampler());
    TRY(read_sender(&config->sender));
    return read_resource(&config->resource, program);
}

static void forget(void)
{
    arena_free(state.arena);
    state.arena = NULL;
}

static enum result start(const char *program, bool only_check)
{
    struct exporter_config config;
    bool wanted = false;

    state.arena = arena_new();
    enum result result = configure(&config, &wanted, program);
    if (result == OK && wanted && !only_check)
        result = exporter_start(&config);
    trace_on = result == OK && wanted && !only_check;
    if (!trace_on)
        forget();
    return result;
}

enum result trace_start(const char *program, const char **problem)
{
    enum result result = start(program, false);

    if (result != OK)
        *problem = result == ERR_SETTING ? state.problem : "no thread for the export of spans";
    return result;
}

enum result trace_check(const char **problem)
{
    enum result result = start("aragora", true);

    if (result != OK)
        *problem = state.problem;
    return result;
}

void trace_stop(void)
{
    if (!trace_on)
        return;
    trace_on = false;
    exporter_stop(STOP_US);
    forget();
}

void span_begin_remote(struct span *span, enum span_kind kind, const struct trace_context *remote)
{
    struct trace_context self = { 0 };

    if (remote)
        self = *remote;
    if (trace_on) {
        if (!remote) {
            span_id_new(self.trace);
            span_id_new(self.trace + SPAN_ID_BYTES);
        }
        span_id_new(self.span);
        self.sampled = trace_takes(self.trace, remote ? &remote->sampled : NULL);
    }
    span_begin_as(span, kind, &self, remote ? remote->span : NULL, monotonic_us());
}

bool trace_takes(const unsigned char trace[TRACE_ID_BYTES], const bool *parent_sampled)
{
    return trace_on && sampler_takes(&state.sampler, trace, parent_sampled);
}
