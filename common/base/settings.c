/* settings.c - one value per row, checked once. */
#include "common/base/settings.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/network.h"
#include "common/base/setting_name.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (INT64_C(1024) * 1024)

extern char **environ;

static const struct setting_row rows[SETTING_COUNT] = {
#define SETTING(id, name, type, min, max, fallback, unit, doc)                                     \
    [SETTING_##id] = { #id, name, SETTING_##type, min, max, fallback, unit, doc },
#include "common/base/settings.def"
#undef SETTING
};

/* Configuration: written by settings_load(), read by everybody after it. */
static struct {
    const char *text; /* NULL: unset */
    enum setting_origin origin;
    int64_t integer; /* of INT and FLAG */
    double real;
} values[SETTING_COUNT];

const struct setting_row *setting_row(enum setting setting)
{
    return &rows[setting];
}

bool setting_find(enum setting *out, struct str name)
{
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        if (str_is(name, rows[i].name)) {
            *out = i;
            return true;
        }
    }
    return setting_by_other_name(out, name);
}

static char *copy(struct str s)
{
    char *text = strndup(s.at ? s.at : "", s.len);

    if (!text)
        abort();
    return text;
}

void setting_override(enum setting setting, const char *value)
{
    values[setting].text = copy(str_from(value));
    values[setting].origin = ORIGIN_FLAG;
}

static bool word_allowed(const char *words, struct str value, const char **canonical)
{
    struct str rest = str_from(words), word;

    while (str_split(&word, &rest, '|')) {
        if (str_eq_nocase(word, value)) {
            if (!str_eq(word, value))
                *canonical = copy(word);
            return true;
        }
    }
    return false;
}

/* As a browser sends it, perhaps with a slash behind; "*" would let every site in. */
static bool is_origin(struct str text)
{
    struct str scheme = str_starts(text, STR("https://")) ? STR("https://") : STR("http://");
    struct str host = str_slice(text, scheme.len, text.len);

    if (str_is(text, "*"))
        return !setting_production();
    if (str_ends(host, STR("/")))
        host = str_slice(host, 0, host.len - 1);
    for (size_t i = 0; i < host.len; i++)
        if (strchr("/?#@ \t*", host.at[i]))
            return false;
    return str_starts(text, scheme) && host.len && host.at[0] != ':';
}

static bool is_network(struct str text)
{
    struct network network;

    return str_is(text, "localhost") || network_parse(&network, text);
}

static bool each(bool (*is_good)(struct str text), struct str list)
{
    struct str part;

    while (str_split(&part, &list, ','))
        if (str_trim(part).len && !is_good(str_trim(part)))
            return false;
    return true;
}

static bool fits(const struct setting_row *row, struct str text)
{
    return (int64_t)text.len >= row->min && (int64_t)text.len <= row->max && str_is_text(text);
}

static bool check(enum setting setting)
{
    const struct setting_row *row = &rows[setting];
    struct str text = str_from(values[setting].text);
    bool flag = false;

    if (!text.at)
        return true;
    switch (row->type) {
    case SETTING_INT:
        return str_int(&values[setting].integer, text, row->min, row->max);
    case SETTING_REAL:
        return str_double(&values[setting].real, text) &&
               values[setting].real >= (double)row->min && values[setting].real <= (double)row->max;
    case SETTING_FLAG:
        if (!str_bool(&flag, text))
            return false;
        values[setting].integer = flag;
        return true;
    case SETTING_WORD:
        return word_allowed(row->unit, text, &values[setting].text);
    case SETTING_TEXT:
    case SETTING_SECRET:
    case SETTING_PATH:
    case SETTING_LIST:
        return fits(row, text);
    case SETTING_ORIGINS:
        return fits(row, text) && each(is_origin, text);
    case SETTING_NETWORKS:
        return fits(row, text) && each(is_network, text);
    }
    return false;
}

/* A name that is no setting and must not be given in production; NULL: there was none. */
static const char *unsafe;

static void meet(struct str name, struct str value, bool meant)
{
    const char *refused = setting_stranger(name, value, meant);

    if (refused)
        unsafe = refused;
}

static void meet_environment(void)
{
    for (char **entry = environ; *entry; entry++) {
        struct str value = str_from(*entry), name;
        enum setting setting;

        if (str_split(&name, &value, '=') && !setting_find(&setting, name))
            meet(name, value, false);
    }
}

/* NAME=value lines; # starts a comment line; a value may be quoted. */
static const char *read_line(struct str line)
{
    struct str name;
    enum setting setting;

    line = str_trim(line);
    if (line.len == 0 || line.at[0] == '#')
        return NULL;
    struct str rest = line;
    if (!str_split(&name, &rest, '=') || !rest.at)
        return "a line without =";
    name = str_trim(name);
    rest = str_trim(rest);
    if (rest.len >= 2 && rest.at[0] == '"' && rest.at[rest.len - 1] == '"')
        rest = str_slice(rest, 1, rest.len - 1);
    if (!setting_find(&setting, name)) {
        meet(name, rest, true);
        return NULL;
    }
    if (values[setting].origin == ORIGIN_DEFAULT) {
        values[setting].text = copy(rest);
        values[setting].origin = ORIGIN_FILE;
    }
    return NULL;
}

/* The first that is there. Passing over one that is there but cannot be read would run with other
 * settings than its owner believes; the system's may be meant for the service's user alone. */
static const char *read_file(void)
{
    enum { NAMED, OF_DATA, OF_SYSTEM };
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct str candidates[] = { str_from(values[SETTING_CONFIG].text),
                                data_path(arena, "aragora.conf"),
                                STR("/etc/aragora/aragora.conf") };
    struct str text, line;

    for (size_t i = 0; i < COUNT(candidates); i++) {
        if (!candidates[i].at)
            continue;
        enum result result = file_read(&text, arena, candidates[i], FILE_BYTES_MAX);
        if (result != OK && (i == NAMED || (i == OF_DATA && result != ERR_NOT_FOUND)))
            return i == NAMED ? "the file that ARAGORA_CONFIG names cannot be read"
                              : "aragora.conf in the data directory cannot be read";
        if (result != OK) {
            if (result != ERR_NOT_FOUND)
                log_event(LOG_WARNING, "settings passed over", "file", log_str(candidates[i]));
            continue;
        }
        while (str_split(&line, &text, '\n')) {
            const char *problem = read_line(line);
            if (problem)
                return problem;
        }
        return NULL;
    }
    return NULL;
}

/* By the setting's own name, or else by another. */
static const char *from_environment(enum setting setting)
{
    const char *name = rows[setting].name, *given = NULL;

    for (size_t i = 0; name && !(given && *given); i++) {
        given = getenv(name);
        name = setting_other_name(setting, i);
    }
    return given;
}

enum result settings_load(const char **problem)
{
    static _Thread_local char message[256];

    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        const char *given = from_environment(i);

        if (values[i].origin == ORIGIN_FLAG)
            continue;
        values[i].origin = given && *given ? ORIGIN_ENVIRONMENT : ORIGIN_DEFAULT;
        values[i].text = given && *given ? given : rows[i].fallback;
    }
    const char *file_problem = read_file();
    if (file_problem) {
        snprintf(message, sizeof(message), "configuration file: %s", file_problem);
        *problem = message;
        return ERR_SETTING;
    }
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        if (check(i))
            continue;
        snprintf(message, sizeof(message), "%s: not a valid value: %s", rows[i].name, rows[i].doc);
        *problem = message;
        return ERR_SETTING;
    }
    meet_environment();
    if (unsafe && setting_production()) {
        snprintf(message, sizeof(message), "%s: refused in production", unsafe);
        *problem = message;
        return ERR_SETTING;
    }
    return OK;
}

struct str setting_str(enum setting setting)
{
    return str_from(values[setting].text);
}

const char *setting_cstr(enum setting setting)
{
    return values[setting].text ? values[setting].text : "";
}

int64_t setting_int(enum setting setting)
{
    return values[setting].integer;
}

double setting_real(enum setting setting)
{
    return values[setting].real;
}

bool setting_flag(enum setting setting)
{
    return values[setting].integer != 0;
}

bool setting_given(enum setting setting)
{
    return values[setting].origin != ORIGIN_DEFAULT;
}

enum setting_origin setting_origin(enum setting setting)
{
    return values[setting].origin;
}

bool setting_production(void)
{
    static const char *const relaxed[] = { "", "development", "dev", "local", "test" };

    for (size_t i = 0; i < COUNT(relaxed); i++)
        if (str_eq_nocase(setting_str(SETTING_ENV), str_from(relaxed[i])))
            return false;
    return true;
}

/* Of postgresql://user:password@host/ and of "host=h password=p"; STR_NONE: it has none. */
static struct str password_of(struct str secret)
{
    struct str scheme = STR("://"), key = STR("password="), part = STR_NONE, password;
    size_t at;

    if (str_find(&at, secret, key)) {
        part = str_slice(secret, at + key.len, secret.len);
        (void)str_split(&password, &part, ' ');
        return str_trim(password);
    }
    if (!str_find(&at, secret, scheme))
        return STR_NONE;
    part = str_slice(secret, at + scheme.len, secret.len);
    (void)str_split(&password, &part, ':'); /* the user */
    at = part.len;
    while (at && part.at[at - 1] != '@')
        at--;
    return at ? str_slice(part, 0, at - 1) : STR_NONE;
}

static void hide_secrets(void)
{
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        if (rows[i].type != SETTING_SECRET)
            continue;
        log_hide(setting_str(i));
        log_hide(password_of(setting_str(i)));
    }
}

void setting_log_open(const char *program)
{
    static const char *const words[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };
    struct str format = setting_str(SETTING_LOG_FORMAT);
    enum log_level level = LOG_DEBUG;

    while (level < LOG_CRITICAL && !str_is(setting_str(SETTING_LOG_LEVEL), words[level]))
        level++;
    hide_secrets();
    bool json = str_is(format, "json") || (!format.len && setting_production());
    log_open(program, level, json ? LOG_JSON : LOG_TEXT);
    log_times(setting_flag(SETTING_LOG_TIMESTAMP));
}

struct str data_path(struct arena *arena, const char *below)
{
    return arena_printf(arena, "%s/%s", setting_cstr(SETTING_DATA_DIR), below);
}
