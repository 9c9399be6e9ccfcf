/* settings.h - every setting, one row each in settings.def.
 *
 * A value comes from a command-line flag, then the environment, then the configuration file,
 * then the row's default. Read once at start; modules copy what they need into their structs.
 * aragora config and aragora.conf(5) are made from the rows. */
#ifndef ARAGORA_SETTINGS_H
#define ARAGORA_SETTINGS_H

#include "common/base/arena.h"

enum setting {
#define SETTING(id, name, type, min, max, fallback, unit, doc) SETTING_##id,
#include "common/base/settings.def"
#undef SETTING
    SETTING_COUNT
};

enum setting_type {
    SETTING_TEXT,
    SETTING_SECRET, /* a text that is never shown */
    SETTING_PATH,
    SETTING_LIST,     /* comma separated */
    SETTING_ORIGINS,  /* of those, scheme://host[:port], or * outside production */
    SETTING_NETWORKS, /* of those, addresses, networks as 10.0.0.0/8, and localhost */
    SETTING_WORD,     /* one of the words in unit, separated by | */
    SETTING_INT,
    SETTING_REAL,
    SETTING_FLAG,
};

enum setting_origin { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_FLAG };

struct setting_row {
    const char *id;   /* as in the enum, without SETTING_ */
    const char *name; /* of the environment variable */
    enum setting_type type;
    int64_t min, max;     /* of INT and REAL; of texts in bytes */
    const char *fallback; /* NULL: unset */
    const char *unit;     /* s, ms, bytes, or the words of a SETTING_WORD */
    const char *doc;      /* one sentence */
};

const struct setting_row *setting_row(enum setting setting);
bool setting_find(enum setting *out, struct str name); /* by environment name */

/* Reads environment and file. ERR_SETTING: a value is out of its type or range; *problem then
 * says which, in static memory of the calling thread. Logs one warning for each unknown
 * ARAGORA_* name. */
MUST_USE enum result settings_load(const char **problem);
/* A command-line flag; before settings_load(). value is copied. */
void setting_override(enum setting setting, const char *value);

/* Never fail after settings_load(). Strings live as long as the process. */
struct str setting_str(enum setting setting);   /* STR_NONE: unset */
const char *setting_cstr(enum setting setting); /* "" when unset */
int64_t setting_int(enum setting setting);
double setting_real(enum setting setting);
bool setting_flag(enum setting setting);
bool setting_given(enum setting setting); /* not from the default */
enum setting_origin setting_origin(enum setting setting);

/* ARAGORA_ENV is set to something else than development, dev, local, test. */
bool setting_production(void);
/* The log as the settings say; after settings_load(). program: a literal. */
void setting_log_open(const char *program);
/* The data directory's subpath, in arena. */
struct str data_path(struct arena *arena, const char *below);

#endif
