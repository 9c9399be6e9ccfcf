/* aragora-fcgi - one FastCGI worker; the listening socket is file descriptor 0. */
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "fcgi/fastcgi.h"

#include <stdio.h>
#include <sysexits.h>

static enum log_level level_setting(void)
{
    static const char *const words[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };
    enum log_level level = LOG_DEBUG;

    while (level < LOG_CRITICAL && !str_is(setting_str(SETTING_LOG_LEVEL), words[level]))
        level++;
    return level;
}

static enum log_format format_setting(void)
{
    struct str word = setting_str(SETTING_LOG_FORMAT);

    return str_is(word, "json") || (!word.len && setting_production()) ? LOG_JSON : LOG_TEXT;
}

int main(void)
{
    const char *problem = "";
    struct worker *worker;

    log_open("aragora-fcgi", LOG_INFO, LOG_TEXT);
    if (settings_load(&problem) != OK) {
        log_event(LOG_CRITICAL, "wrong setting", "problem", problem);
        return EX_CONFIG;
    }
    log_open("aragora-fcgi", level_setting(), format_setting());
    if (worker_new(&worker) != OK) {
        log_event(LOG_CRITICAL, "route tables are wrong");
        return EX_SOFTWARE;
    }
    enum result result = fastcgi_serve(worker);
    worker_free(worker);
    if (result == OK)
        return 0;
    log_event(LOG_CRITICAL, "cannot serve", "problem", "standard input is no listening socket");
    return EX_OSERR;
}
