#include "common/trace/exporter.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/log.h"
#include "common/http/retry.h"
#include "common/metrics/metrics.h"
#include "common/trace/otlp.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define TURN_US US_PER_S /* a span waits no longer for others */

/* Of a batch; the greatest wait between two tries is what the specification's libraries take. */
static const struct retry_policy policy = {
    .retries = 5,
    .base_us = US_PER_S,
    .most_us = 5 * US_PER_S,
    .server_most_us = 60 * US_PER_S,
};

struct counts {
    int64_t exported, full, refused;
};

static struct {
    struct exporter_config config;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t news;  /* a batch is there, or it is to stop */
    struct buf ring[EXPORTER_SPANS];
    size_t first, count, bytes;
    struct counts counts; /* not yet told to the segment */
    bool running;
    _Atomic int64_t stop_us; /* monotonic: nothing is sent after; INT64_MAX: it goes on */
} at = { .lock = PTHREAD_MUTEX_INITIALIZER,
         .news = PTHREAD_COND_INITIALIZER,
         .stop_us = INT64_MAX };

/* --- The ring ---------------------------------------------------------------------------- */

void exporter_take(struct buf *span)
{
    pthread_mutex_lock(&at.lock);
    bool fits = at.running && at.count < EXPORTER_SPANS && at.bytes + span->len <= EXPORTER_BYTES;
    if (fits) {
        at.ring[(at.first + at.count++) % EXPORTER_SPANS] = *span;
        at.bytes += span->len;
        if (at.count == at.config.batch)
            pthread_cond_signal(&at.news);
    } else {
        at.counts.full++;
    }
    pthread_mutex_unlock(&at.lock);
    if (!fits)
        buf_free(span);
    *span = (struct buf){ 0 };
}

/* A request's body of up to a batch of spans; how many. With the lock. */
static size_t take_batch(struct buf *body)
{
    size_t count = at.count < at.config.batch ? at.count : at.config.batch;

    buf_clear(body);
    otlp_begin(body, at.config.resource);
    for (size_t i = 0; i < count; i++) {
        struct buf *span = &at.ring[at.first];

        buf_json_comma(body);
        buf_str(body, buf_view(span));
        at.bytes -= span->len;
        buf_free(span);
        at.first = (at.first + 1) % EXPORTER_SPANS;
    }
    at.count -= count;
    otlp_end(body);
    return count;
}

/* --- The thread -------------------------------------------------------------------------- */

static bool is_stopping(void)
{
    return atomic_load(&at.stop_us) != INT64_MAX;
}

/* Until then, or until it is to stop, or with a batch that is there. With the lock. */
static void wait_until(int64_t until_us, bool for_batch)
{
    const struct timespec until = { .tv_sec = until_us / US_PER_S,
                                    .tv_nsec = until_us % US_PER_S * 1000 };

    while (!is_stopping() && !(for_batch && at.count >= at.config.batch) &&
           pthread_cond_clockwait(&at.news, &at.lock, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
        ;
}

struct work {
    struct http_client *client;
    struct segment *segment; /* NULL: it cannot be opened yet */
    struct buf body;
    bool failing; /* said in the log */
};

/* Said once, until it is otherwise. */
static void say(struct work *work, const struct sent_report *report, bool good)
{
    if (work->failing == !good)
        return;
    work->failing = !good;
    if (good)
        log_event(LOG_INFO, "spans are exported again");
    else
        log_event(LOG_WARNING, "spans are not exported", "problem", report->problem, "status",
                  log_int(report->status));
}

static void add_counts(size_t exported, size_t refused)
{
    pthread_mutex_lock(&at.lock);
    at.counts.exported += (int64_t)exported;
    at.counts.refused += (int64_t)refused;
    pthread_mutex_unlock(&at.lock);
}

/* false: it is to stop, or no try is left. */
static bool wait_to_retry(int64_t failures, int64_t asked_us)
{
    uint64_t random;
    int64_t wait_us;

    random_bytes(&random, sizeof(random));
    if (is_stopping() || !retry_wait(&wait_us, &policy, failures, asked_us, random))
        return false;
    pthread_mutex_lock(&at.lock);
    wait_until(monotonic_us() + wait_us, false);
    pthread_mutex_unlock(&at.lock);
    return true;
}

/* The segment may come to be after the thread. */
static void tell_counts(struct work *work)
{
    struct counts counts;

    if (!work->segment && (!at.config.data_directory[0] ||
                           segment_open(&work->segment, at.config.data_directory) != OK))
        return;
    pthread_mutex_lock(&at.lock);
    counts = at.counts;
    at.counts = (struct counts){ 0 };
    pthread_mutex_unlock(&at.lock);
    metric_add(work->segment, METRIC_SPANS_EXPORTED, counts.exported);
    metric_add(work->segment, METRIC_SPANS_DROPPED_FULL, counts.full);
    metric_add(work->segment, METRIC_SPANS_DROPPED_REFUSED, counts.refused);
}

static bool go_on(void *work)
{
    tell_counts(work);
    return monotonic_us() < atomic_load(&at.stop_us);
}

static void send_batch(struct work *work, size_t count)
{
    struct sent_report report = { 0 };
    enum sent sent = SENT_LATER;
    size_t refused = count;

    for (int64_t failures = 1; sent == SENT_LATER; failures++) {
        sent = send_request(&report, work->client, &at.config.sender, buf_view(&work->body), go_on,
                            work);
        say(work, &report, sent == SENT);
        if (sent == SENT_LATER && !wait_to_retry(failures, report.wait_us))
            break;
    }
    if (sent == SENT)
        refused = report.rejected < (int64_t)count ? (size_t)report.rejected : count;
    add_counts(count - refused, refused);
}

static void *run(void *arg)
{
    struct work work = { .client = arg };
    bool last = false;

    while (!last) {
        pthread_mutex_lock(&at.lock);
        wait_until(monotonic_us() + TURN_US, true);
        size_t count = at.count ? take_batch(&work.body) : 0;
        last = is_stopping() && !at.count;
        pthread_mutex_unlock(&at.lock);
        if (count)
            send_batch(&work, count);
        tell_counts(&work);
    }
    segment_close(work.segment);
    buf_free(&work.body);
    http_client_free(work.client);
    return NULL;
}

/* Signals are for the thread that waits for them. */
static bool start_thread(struct http_client *client)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&at.thread, NULL, run, client) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

enum result exporter_start(const struct exporter_config *config)
{
    struct http_client *client;

    TRY(http_client_new(&client, &config->sender.http));
    at.config = *config;
    atomic_store(&at.stop_us, INT64_MAX);
    at.running = true;
    if (start_thread(client))
        return OK;
    at.running = false;
    http_client_free(client);
    return ERR_SYSTEM;
}

void exporter_stop(int64_t limit_us)
{
    pthread_mutex_lock(&at.lock);
    bool running = at.running;
    at.running = false;
    atomic_store(&at.stop_us, monotonic_us() + limit_us);
    pthread_cond_signal(&at.news);
    pthread_mutex_unlock(&at.lock);
    if (running)
        pthread_join(at.thread, NULL);
}
