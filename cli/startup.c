/* startup.c - the rules of http.md 14.3, one row each.
 *
 * What would make a setting a lie keeps the server from starting. What is unwise in production is
 * an error for who asked for a strict start, and a warning for all others. */
#include "cli/startup.h"

#include "common/base/provider.h"
#include "common/db/db.h"

#include <stdio.h>

enum severity { WARNING, STRICT, FATAL };

static bool on_sqlite(void)
{
    return db_backend_chosen() == DB_SQLITE;
}

static bool required_database_missing(void)
{
    return setting_flag(SETTING_REQUIRE_DATABASE) && on_sqlite();
}

static bool dsn_missing(void)
{
    return !on_sqlite() && !setting_str(SETTING_POSTGRES_DSN).len &&
           !setting_str(SETTING_DATABASE_URL).len;
}

static bool token_missing(void)
{
    return setting_production() && !setting_str(SETTING_API_TOKEN).len;
}

static bool production_on_sqlite(void)
{
    return setting_production() && on_sqlite();
}

static bool production_without_provider(void)
{
    const char *one[1];

    return setting_production() && provider_usual(one, 1) == 0;
}

static bool demo_in_production(void)
{
    return setting_production() && setting_given(SETTING_DEMO_MODE) &&
           setting_flag(SETTING_DEMO_MODE);
}

static bool origins_missing(void)
{
    return setting_production() && !setting_str(SETTING_ALLOWED_ORIGINS).len &&
           !setting_str(SETTING_PUBLIC_URL).len;
}

/* In the clear, from elsewhere than this machine. */
static bool origin_in_the_clear(void)
{
    struct str rest = setting_str(SETTING_ALLOWED_ORIGINS), part, scheme = STR("http://");

    while (setting_production() && str_split(&part, &rest, ',')) {
        struct str host = str_trim(part);

        if (!str_starts(host, scheme))
            continue;
        host = str_slice(host, scheme.len, host.len);
        if (!str_starts(host, STR("localhost")) && !str_starts(host, STR("127.0.0.1")))
            return true;
    }
    return false;
}

static bool fastapi_port_alone(void)
{
    return setting_given(SETTING_FASTAPI_PORT) && !setting_flag(SETTING_FASTAPI);
}

static const struct rule {
    bool (*broken)(void);
    enum severity severity;
    enum setting setting;
    const char *what;
} rules[] = {
    { required_database_missing, FATAL, SETTING_REQUIRE_DATABASE,
      "asks for PostgreSQL, but SQLite would be used; set DATABASE_URL" },
    { dsn_missing, FATAL, SETTING_DB_BACKEND,
      "asks for PostgreSQL; set DATABASE_URL or ARAGORA_POSTGRES_DSN to where it is" },
    { token_missing, STRICT, SETTING_API_TOKEN, "production without it has API keys alone" },
    { production_on_sqlite, STRICT, SETTING_DATABASE_URL,
      "production without it runs on SQLite, on this host alone" },
    { production_without_provider, STRICT, SETTING_ENV,
      "production without the key of any provider has demo agents alone" },
    { origin_in_the_clear, STRICT, SETTING_ALLOWED_ORIGINS,
      "has an origin of http://, whose pages anybody on the way can change" },
    { origins_missing, WARNING, SETTING_ALLOWED_ORIGINS,
      "is not set, nor is ARAGORA_PUBLIC_URL: pages of your own may not call" },
    { demo_in_production, WARNING, SETTING_DEMO_MODE,
      "in production: debates that name no agents have demo agents" },
    { fastapi_port_alone, WARNING, SETTING_FASTAPI_PORT,
      "has no effect without ARAGORA_USE_FASTAPI=true" },
};

bool startup_good(void)
{
    bool strict = setting_flag(SETTING_STRICT_STARTUP), good = true;

    for (size_t i = 0; i < COUNT(rules); i++) {
        const struct rule *rule = &rules[i];

        if (!rule->broken())
            continue;
        bool error = rule->severity == FATAL || (rule->severity == STRICT && strict);
        fprintf(stderr, "aragora: %s: %s: %s\n", error ? "error" : "warning",
                setting_row(rule->setting)->name, rule->what);
        good &= !error;
    }
    return good;
}
