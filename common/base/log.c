/* log.c - formats a line and writes it with one write(2). */
#include "common/base/log.h"

#include "common/base/buf.h"
#include "common/base/clock.h"

#include <ctype.h>
#include <stdarg.h>
#include <unistd.h>

#define REDACTED   "[REDACTED]"
#define SECRET_MIN 8    /* bytes of one that is searched for */
#define LINE_BYTES 1024 /* of an ordinary line */

static struct {
    const char *program;
    enum log_level level;
    enum log_format format;
    char host[64];
    bool untimed;
    struct str secrets[LOG_SECRETS];
    size_t secret_count;
} state = { .program = "aragora", .level = LOG_INFO, .format = LOG_TEXT };

static _Thread_local struct str current_request, current_trace;

static const char *const level_names[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };

void log_open(const char *program, enum log_level level, enum log_format format)
{
    state.program = program;
    state.level = level;
    state.format = format;
    if (gethostname(state.host, sizeof(state.host) - 1) != 0)
        state.host[0] = '\0';
}

void log_hide(struct str secret)
{
    if (secret.len >= SECRET_MIN && state.secret_count < LOG_SECRETS)
        state.secrets[state.secret_count++] = secret;
}

void log_times(bool shown)
{
    state.untimed = !shown;
}

bool log_wants(enum log_level level)
{
    return level >= state.level;
}

void log_context(struct str request_id, struct str trace_id)
{
    current_request = request_id;
    current_trace = trace_id;
}

static bool names_a_secret(const char *name)
{
    /* By length: most names are shorter than most words. */
    static const struct str words[] = {
        STR("cvv"),
        STR("dsn"),
        STR("ssn"),
        STR("token"),
        STR("apikey"),
        STR("bearer"),
        STR("cookie"),
        STR("passwd"),
        STR("secret"),
        STR("api-key"),
        STR("api_key"),
        STR("password"),
        STR("client_id"),
        STR("credential"),
        STR("privatekey"),
        STR("session_id"),
        STR("card_number"),
        STR("credit_card"),
        STR("private_key"),
        STR("session_key"),
        STR("signing_key"),
        STR("database_url"),
        STR("authorization"),
        STR("encryption_key"),
        STR("connection_string"),
    };
    const size_t len = strlen(name);

    for (size_t i = 0; i < COUNT(words) && words[i].len <= len; i++)
        for (size_t at = 0; at + words[i].len <= len; at++)
            if (tolower((unsigned char)name[at]) == words[i].at[0] &&
                strncasecmp(name + at, words[i].at, words[i].len) == 0)
                return true;
    return false;
}

/* The shapes of http.md 10 that can turn up in free text. */
static bool looks_secret(struct str value)
{
    static const struct {
        const char *mark;
        size_t more; /* characters that must follow */
    } shapes[] = {
        { "sk-", 20 },          { "sk_", 20 },     { "ara_", 20 },      { "Bearer ", 8 },
        { "eyJ", 20 },          { "AKIA", 16 },    { "-----BEGIN", 8 }, { "postgres://", 4 },
        { "postgresql://", 4 }, { "redis://", 4 }, { "password=", 1 },
    };
    size_t at;

    if (value.len < 16)
        return false;
    for (size_t i = 0; i < COUNT(shapes); i++)
        if (str_find(&at, value, str_from(shapes[i].mark)) &&
            value.len - at >= strlen(shapes[i].mark) + shapes[i].more)
            return true;
    return false;
}

static bool holds_secret(struct str value)
{
    size_t at;

    for (size_t i = 0; i < state.secret_count; i++)
        if (value.len >= state.secrets[i].len && str_find(&at, value, state.secrets[i]))
            return true;
    return looks_secret(value);
}

/* What a client calls its request may be a secret too. */
static struct str shown(struct str id)
{
    return holds_secret(id) ? STR(REDACTED) : id;
}

bool log_hides(const char *name, struct str value)
{
    return names_a_secret(name) || holds_secret(value);
}

static void add_value(struct buf *line, const char *name, const char *value)
{
    struct str text = str_from(value);

    if (!value)
        text = STR("-");
    else if (log_hides(name, text))
        text = STR(REDACTED);
    if (!str_is_text(text))
        text = STR("(not text)");
    if (state.format == LOG_JSON || text.len == 0 || text.len > strcspn(text.at, " \"\\=\t\r\n"))
        buf_json_str(line, str_cut(text, 1000));
    else
        buf_str(line, text);
}

static void text_head(struct buf *line, enum log_level level, const char *event)
{
    struct str level_name = str_from(level_names[level]);
    char time[UTC_TEXT];

    if (!state.untimed) {
        utc_text(time, utc_now());
        buf_char(line, '[');
        buf_add(line, time, 10);
        buf_char(line, ' ');
        buf_add(line, time + 11, 12);
        buf_str(line, STR("] "));
    }
    buf_char(line, '[');
    buf_str(line, level_name);
    buf_add(line, "        ", level_name.len < 8 ? 8 - level_name.len : 0);
    buf_str(line, STR("] ["));
    buf_str(line, current_request.len ? shown(current_request) : STR("-"));
    buf_str(line, STR("] "));
    buf_str(line, str_from(state.program));
    buf_str(line, STR(" - "));
    buf_str(line, str_from(event));
}

static void text_key(struct buf *line, struct str name)
{
    buf_char(line, ' ');
    buf_str(line, name);
    buf_char(line, '=');
}

static void json_head(struct buf *line, enum log_level level, const char *file, int number,
                      const char *event)
{
    char time[UTC_TEXT];

    buf_printf(line, "{\"level\":\"%s\",\"logger\":\"%s\",\"message\":\"%s\"", level_names[level],
               state.program, event);
    if (!state.untimed) {
        utc_text(time, utc_now());
        buf_printf(line, ",\"timestamp\":\"%s\"", time);
    }
    buf_str(line, STR(",\"service\":\"aragora\""));
    buf_json_key(line, STR("hostname"));
    buf_json_str(line, str_from(state.host));
    if (current_request.len) {
        buf_str(line, STR(",\"context\":{\"request_id\":"));
        buf_json_str(line, shown(current_request));
        buf_str(line, STR(",\"trace_id\":"));
        buf_json_str(line, shown(current_trace));
        buf_char(line, '}');
    }
    if (level >= LOG_ERROR)
        buf_printf(line, ",\"source\":{\"file\":\"%s\",\"line\":%d}", file, number);
    buf_str(line, STR(",\"extra\":{"));
}

void log_event_at(enum log_level level, const char *file, int line_number, const char *event, ...)
{
    CLEANUP(buf_free) struct buf line = { 0 };
    va_list args;
    const char *name;

    buf_reserve(&line, LINE_BYTES);
    if (state.format == LOG_JSON)
        json_head(&line, level, file, line_number, event);
    else
        text_head(&line, level, event);
    va_start(args, event);
    while ((name = va_arg(args, const char *))) {
        const char *value = va_arg(args, const char *);

        if (state.format == LOG_JSON)
            buf_json_key(&line, str_from(name));
        else
            text_key(&line, str_from(name));
        add_value(&line, name, value);
    }
    va_end(args);
    buf_str(&line, state.format == LOG_JSON ? STR("}}\n") : STR("\n"));
    /* A full pipe or a closed terminal must not stop the program: the line is lost. */
    ssize_t written = write(STDERR_FILENO, line.at, line.len);
    (void)written;
}

static _Thread_local char ring[16][256];
static _Thread_local unsigned ring_at;

const char *log_int(int64_t value)
{
    char *out = ring[ring_at++ % COUNT(ring)];

    (void)int_text(out, value);
    return out;
}

const char *log_str(struct str s)
{
    char *out = ring[ring_at++ % COUNT(ring)];

    s = str_slice(s, 0, sizeof(ring[0]) - 1);
    if (s.len)
        memcpy(out, s.at, s.len);
    out[s.len] = '\0';
    return out;
}
