/* aragora-streamd - the long-lived connections of clients: debates as they happen. */
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "common/base/tls.h"
#include "common/base/version.h"
#include "common/db/migrate.h"
#include "common/metrics/series.h"
#include "common/store/db_figures.h"
#include "common/store/stream.h"
#include "common/trace/trace.h"
#include "streamd/server.h"

#include <signal.h>
#include <sysexits.h>
#include <time.h>

#define SCHEMA_WAIT_S 60

/* SIGTERM and SIGINT stop the daemon: the loop reads them from a descriptor. */
static sigset_t stop_signals(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

/* Whoever migrates may still be at it (decision 54). ERR_CANCELLED: stopped meanwhile. */
static enum result read_epoch(struct str *out, struct arena *arena, const struct db_config *config)
{
    CLEANUP(db_cleanup) struct db *db = NULL;
    const struct timespec pause = { .tv_nsec = 100 * US_PER_MS * 1000 };
    const sigset_t signals = stop_signals();
    enum result result = ERR_SCHEMA_OLD;

    for (int i = 0; i < SCHEMA_WAIT_S * 10 && result != OK; i++) {
        if (i && sigtimedwait(&signals, NULL, &pause) > 0)
            return ERR_CANCELLED;
        result = db ? OK : db_open(&db, config);
        if (result != OK)
            continue;
        db_use(db, arena, STR_NONE);
        result = db_migrated(db);
    }
    return result == OK ? stream_epoch(out, db) : result;
}

/* Under TLS the web server, which proxies in the clear, comes by a socket of its own. */
static enum result open_tls(SSL_CTX **out, struct arena *arena)
{
    struct str problem;

    if (!setting_flag(SETTING_SSL))
        return OK;
    enum result result = tls_server_open(out, arena, setting_cstr(SETTING_SSL_CERT),
                                         setting_cstr(SETTING_SSL_KEY), &problem);
    if (result != OK)
        log_event(LOG_CRITICAL, "no TLS", "problem", log_str(problem));
    return result;
}

static enum result serve(struct arena *arena)
{
    struct segment *segment;
    SSL_CTX *tls = NULL;

    TRY(open_tls(&tls, arena));
    TRY(directory_make(arena, data_path(arena, "run"), 0700));
    TRY(segment_open(&segment, setting_cstr(SETTING_DATA_DIR)));
    series_use(segment);
    db_figures_start();
    struct server_config config = {
        .host = setting_cstr(SETTING_BIND_HOST),
        .data_directory = setting_cstr(SETTING_DATA_DIR),
        .port = setting_int(SETTING_WS_PORT),
        .tls = tls,
        .local_path = tls ? data_path(arena, "run/stream.sock") : STR_NONE,
        .database = db_config_read(arena, segment),
        .segment = segment,
        .program_version = STR(ARAGORA_VERSION),
        .message_max = (size_t)setting_int(SETTING_WS_MESSAGE_SIZE),
        .queue_max = (size_t)setting_int(SETTING_WS_QUEUE_SIZE),
        .ping_us = setting_int(SETTING_WS_HEARTBEAT) * US_PER_S,
        .connections_per_minute = setting_int(SETTING_WS_CONN_RATE),
        .connections_per_address = setting_int(SETTING_WS_MAX_PER_IP),
        .messages_per_second = setting_int(SETTING_WS_MSG_RATE),
        .messages_burst = setting_int(SETTING_WS_MSG_BURST),
        .limits_off = setting_flag(SETTING_RATE_OFF),
    };
    enum result result = read_epoch(&config.epoch, arena, &config.database);
    if (result == OK)
        result = server_run(&config);
    series_use(NULL);
    segment_close(segment);
    SSL_CTX_free(tls);
    return result;
}

int main(void)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    const char *problem = "";
    const sigset_t signals = stop_signals();

    sigprocmask(SIG_BLOCK, &signals, NULL); /* before any thread: all inherit it */
    signal(SIGPIPE, SIG_IGN);
    log_open("aragora-streamd", LOG_INFO, LOG_TEXT);
    if (settings_load(&problem) != OK) {
        log_event(LOG_CRITICAL, "wrong setting", "problem", problem);
        return EX_CONFIG;
    }
    setting_log_open("aragora-streamd");
    if (trace_start("aragora-streamd", &problem) != OK) {
        log_event(LOG_CRITICAL, "wrong setting", "problem", problem);
        return EX_CONFIG;
    }
    descriptors_raise(); /* every connection is one */
    enum result result = serve(arena);
    trace_stop();
    if (result == OK || result == ERR_CANCELLED)
        return 0;
    log_event(LOG_CRITICAL, "cannot run", "error", error_row(result)->name);
    return EX_UNAVAILABLE;
}
