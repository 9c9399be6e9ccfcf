/* aragora-debated - runs the debates that wait as jobs in the database. */
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/segment.h"
#include "common/base/settings.h"
#include "common/bus/bus.h"
#include "common/db/migrate.h"
#include "common/metrics/series.h"
#include "common/store/announce.h"
#include "common/store/attempt.h"
#include "common/store/db_figures.h"
#include "common/store/job.h"
#include "common/trace/trace.h"
#include "debated/cooldown.h"
#include "debated/runner.h"

#include <signal.h>
#include <sysexits.h>

#define RETRY_MOST_US (30 * US_PER_S)

/* The schema is brought up and the keys are there before the first debate is claimed. */
static enum result prepare(struct runner_config *config, struct arena *arena)
{
    CLEANUP(db_cleanup) struct db *db = NULL;
    struct str copy;

    TRY(db_open(&db, &config->database));
    db_use(db, arena, STR_NONE);
    TRY(db_migrate_copying(NULL, &copy, db, &config->database));
    if (copy.at)
        log_event(LOG_INFO, "database copied before migrating", "copy", log_str(copy));
    TRY(receipt_signers_open(&config->signers, arena, db));
    struct attempt_vault *vault = arena_alloc(arena, sizeof(*vault));
    config->agents.vault = vault;
    return attempt_vault_open(vault, arena, db);
}

static struct agent_settings agent_settings_read(struct arena *arena)
{
    return (struct agent_settings){
        .cooldowns = arena_alloc(arena, sizeof(struct cooldowns)),
        .demo_pause_us = setting_int(SETTING_DEMO_DELAY) * US_PER_MS,
        .http = { .proxy = setting_str(SETTING_HTTPS_PROXY),
                  .no_proxy = setting_str(SETTING_NO_PROXY),
                  .ca_file = setting_str(SETTING_CA_BUNDLE) },
        .limits = { .connect_us = setting_int(SETTING_HTTP_CONNECT_TIMEOUT) * US_PER_S,
                    .first_byte_us = setting_int(SETTING_FIRST_BYTE_TIMEOUT) * US_PER_S,
                    .between_us = (int64_t)(setting_real(SETTING_CHUNK_TIMEOUT) * US_PER_S),
                    .total_us = setting_int(SETTING_AGENT_TIMEOUT) * US_PER_S,
                    .bytes = (size_t)setting_int(SETTING_REPLY_SIZE) },
        .offline = setting_flag(SETTING_OFFLINE),
        .reply_tokens = setting_int(SETTING_MAX_TOKENS),
        .context_tokens = setting_int(SETTING_OLLAMA_CONTEXT),
        .retries = { .retries = setting_int(SETTING_PROVIDER_RETRIES),
                     .base_us = setting_int(SETTING_PROVIDER_RETRY_DELAY) * US_PER_MS,
                     .most_us = RETRY_MOST_US,
                     .server_most_us = setting_int(SETTING_RETRY_AFTER_MAX) * US_PER_S },
        .at_once = { [CALL_PROPOSAL] = setting_int(SETTING_CALLS_PROPOSAL),
                     [CALL_CRITIQUE] = setting_int(SETTING_CALLS_CRITIQUE),
                     [CALL_REVISION] = setting_int(SETTING_CALLS_REVISION),
                     [CALL_VOTE] = setting_int(SETTING_CALLS_CRITIQUE) },
    };
}

/* Without the bus all goes on, up to a second later. */
static void join_bus(struct runner_config *config)
{
    const char *data = setting_cstr(SETTING_DATA_DIR);

    if (announce_open(data) != OK)
        log_event(LOG_WARNING, "events are not told at once", "directory", data);
    enum result result = bus_bind(&config->jobs, data, BUS_JOBS);
    if (result == ERR_ALREADY_EXISTS)
        log_event(LOG_INFO, "another process hears of new jobs");
    else if (result != OK)
        log_event(LOG_WARNING, "new jobs are not heard of", "directory", data);
}

static enum result serve(struct arena *arena)
{
    struct segment *segment;

    TRY(directory_make(arena, setting_str(SETTING_DATA_DIR), 0700));
    TRY(segment_open(&segment, setting_cstr(SETTING_DATA_DIR)));
    series_use(segment);
    db_figures_start();
    struct runner_config config = {
        .database = db_config_read(arena, segment),
        .agents = agent_settings_read(arena),
        .debates_max = setting_int(SETTING_MAX_DEBATES),
        .debate_limit_us = setting_int(SETTING_DEBATE_TIMEOUT) * US_PER_S,
        .renew_us = LEASE_TERM_US / 3,
        .reply_term_us = setting_int(SETTING_REPLY_DAYS) * 86400 * US_PER_S,
        .directory = data_path(arena, "run"),
    };
    enum result result = prepare(&config, arena);
    if (result == OK)
        result = directory_make(arena, config.directory, 0700);
    if (result == OK) {
        join_bus(&config);
        result = runner_serve(&config);
        bus_close(config.jobs);
        announce_close();
    }
    series_use(NULL);
    segment_close(segment);
    return result;
}

int main(void)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    const char *problem = "";
    sigset_t signals;

    /* Before any thread: all inherit it, and the runner reads them from a descriptor. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a provider that hangs up is a failed call */
    log_open("aragora-debated", LOG_INFO, LOG_TEXT);
    if (settings_load(&problem) != OK) {
        log_event(LOG_CRITICAL, "wrong setting", "problem", problem);
        return EX_CONFIG;
    }
    setting_log_open("aragora-debated");
    if (trace_start("aragora-debated", &problem) != OK) {
        log_event(LOG_CRITICAL, "wrong setting", "problem", problem);
        return EX_CONFIG;
    }
    enum result result = serve(arena);
    trace_stop();
    if (result == OK)
        return 0;
    log_event(LOG_CRITICAL, "cannot run", "error", error_row(result)->name);
    return EX_UNAVAILABLE;
}
