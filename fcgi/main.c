/* aragora-fcgi - one FastCGI worker; the listening socket is file descriptor 0. Without one, but
 * with a request in the environment, a CGI program. */
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/store/announce.h"
#include "common/trace/trace.h"
#include "fcgi/cgi.h"
#include "fcgi/fastcgi.h"

#include <signal.h>
#include <sysexits.h>

static enum result serve(struct worker *worker)
{
    if (!fastcgi_called() && cgi_called()) {
        cgi_answer(worker); /* no bus: what is told right after connecting is lost */
        return OK;
    }
    if (announce_open(setting_cstr(SETTING_DATA_DIR)) != OK)
        log_event(LOG_WARNING, "events are not told at once", "directory",
                  setting_cstr(SETTING_DATA_DIR));
    enum result result = fastcgi_serve(worker);
    announce_close();
    return result;
}

int main(void)
{
    const char *problem = "";
    struct worker *worker;
    sigset_t signals;

    /* Before the handlers are there too: a stop that comes early waits for the first ppoll(). */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    log_open("aragora-fcgi", LOG_INFO, LOG_TEXT);
    if (settings_load(&problem) != OK) {
        log_event(LOG_CRITICAL, "wrong setting", "problem", problem);
        return EX_CONFIG;
    }
    setting_log_open("aragora-fcgi");
    if (trace_start("aragora-fcgi", &problem) != OK) {
        log_event(LOG_CRITICAL, "wrong setting", "problem", problem);
        return EX_CONFIG;
    }
    if (worker_new(&worker) != OK) {
        log_event(LOG_CRITICAL, "route tables are wrong");
        return EX_SOFTWARE;
    }
    enum result result = serve(worker);
    worker_free(worker);
    trace_stop();
    if (result == OK)
        return 0;
    log_event(LOG_CRITICAL, "cannot serve", "problem", "standard input is no listening socket");
    return EX_OSERR;
}
