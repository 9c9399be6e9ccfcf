#include "streamd/reader.h"

#include "common/auth/server_token.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/store/apikey.h"
#include "common/trace/span.h"
#include "streamd/snapshot.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LIVE_SHOWN 100

struct fifo {
    struct query *first, **last;
};

struct reader {
    const struct db_config *database;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t asked;
    struct fifo questions, answers;
    bool stopping;
    int descriptor;
};

struct query *query_new(enum query_kind kind)
{
    struct arena *arena = arena_new();
    struct query *query = arena_alloc(arena, sizeof(*query));

    query->kind = kind;
    query->arena = arena;
    return query;
}

void query_free(struct query *query)
{
    arena_free(query->arena); /* the query itself is in it */
}

static void put(struct fifo *fifo, struct query *query)
{
    query->next = NULL;
    *fifo->last = query;
    fifo->last = &query->next;
}

static struct query *take(struct fifo *fifo)
{
    struct query *query = fifo->first;

    if (query) {
        fifo->first = query->next;
        if (!fifo->first)
            fifo->last = &fifo->first;
    }
    return query;
}

/* streaming.md 2.5: the server's token or an API key. */
static enum result identify(struct principal *who, struct db *db, struct str token)
{
    if (!token.at)
        return OK;
    if (server_token_is(token)) {
        *who = local_owner(CREDENTIAL_SERVER_TOKEN);
        return OK;
    }
    if (!str_starts(token, STR("ara_")) || !str_is_text(token))
        return ERR_AUTH_INVALID;
    return apikey_find(who, db_system(db), token);
}

static enum result join(struct query *query, struct db *db)
{
    struct str org = query->visible_org;

    if (!query->only_live) {
        TRY(identify(&query->who, db, query->token));
        if (principal_may(&query->who, STR("debates.read")))
            org = query->who.org_id;
    }
    if (!org.at)
        return OK;
    db_use(db, query->arena, org);
    return loops_live(&query->live, db, LIVE_SHOWN);
}

static enum result snapshot(struct query *query, struct db *db)
{
    TRY(loop_visible(&query->state, db, query->visible_org, query->loop_id));
    query->org_id = query->state.org_id;
    db_use(db, query->arena, query->org_id);
    TRY(snapshot_read(&query->sync, &query->start, db, query->loop_id, &query->state));
    return query->state.ended ? OK : loop_running_texts(&query->running, db, query->loop_id);
}

/* Which try at its text begins with this event. */
static int64_t attempt_of(struct arena *arena, const struct event *event)
{
    struct json_object *data, *attempt;

    if (!str_is(event->type, "token_start") ||
        json_parse(&data, arena, event->data.text, &json_limits_wide, NULL) != OK ||
        !json_get(&attempt, data, "attempt"))
        return 0;
    return json_object_get_int64(attempt);
}

static enum result read_events(struct query *query, struct db *db)
{
    struct list rows;

    db_use(db, query->arena, query->org_id);
    TRY(event_read(&rows, db, query->loop_id, query->from, EVENTS_A_READ));
    struct read_event *events = arena_array(query->arena, rows.count, sizeof(*events));
    for (size_t i = 0; i < rows.count; i++) {
        CLEANUP(buf_free) struct buf text = { 0 };
        const struct event *row = (const struct event *)rows.at + i;

        event_encode(&text, row);
        events[i] = (struct read_event){ .seq = row->seq,
                                         .type = row->type,
                                         .agent = row->agent,
                                         .task_id = row->task_id,
                                         .attempt = attempt_of(query->arena, row),
                                         .json = arena_str(query->arena, buf_view(&text)) };
    }
    query->events = (struct list){ events, rows.count };
    return OK;
}

static enum result sweep(struct query *query, struct db *db)
{
    TRY(loops_moved(&query->moved, db, query->since));
    return loops_active(&query->active, db);
}

static enum result answer(struct query *query, struct db *db)
{
    db_use(db, query->arena, STR_NONE);
    switch (query->kind) {
    case QUERY_JOIN:
        return join(query, db);
    case QUERY_SNAPSHOT:
        return snapshot(query, db);
    case QUERY_EVENTS:
        return read_events(query, db);
    case QUERY_SWEEP:
        return sweep(query, db);
    }
    return ERR_INTERNAL;
}

static bool is_expected(enum result result)
{
    return result == OK || result == ERR_NOT_FOUND || result == ERR_AUTH_INVALID;
}

static void work(struct query *query, struct db **db, const struct db_config *database)
{
    span_current_set(&query->trace);
    query->result = *db ? OK : db_open(db, database);
    if (query->result == OK)
        query->result = answer(query, *db);
    span_current_set(NULL);
    if (!is_expected(query->result))
        log_event(LOG_WARNING, "database not read", "error", error_row(query->result)->name,
                  "problem", *db ? db_problem(*db) : "");
    if (*db)
        db_use(*db, NULL, STR_NONE);
}

static void *read_all(void *arg)
{
    CLEANUP(db_cleanup) struct db *db = NULL;
    struct reader *reader = arg;
    struct query *query;

    pthread_mutex_lock(&reader->lock);
    while (!reader->stopping) {
        if (!(query = take(&reader->questions))) {
            pthread_cond_wait(&reader->asked, &reader->lock);
            continue;
        }
        pthread_mutex_unlock(&reader->lock);
        work(query, &db, reader->database);
        pthread_mutex_lock(&reader->lock);
        put(&reader->answers, query);
        (void)eventfd_write(reader->descriptor, 1);
    }
    pthread_mutex_unlock(&reader->lock);
    return NULL;
}

enum result reader_start(struct reader **out, const struct db_config *database)
{
    struct reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        abort();
    reader->database = database;
    reader->questions.last = &reader->questions.first;
    reader->answers.last = &reader->answers.first;
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->asked, NULL);
    reader->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reader->descriptor < 0 || pthread_create(&reader->thread, NULL, read_all, reader) != 0) {
        if (reader->descriptor >= 0)
            close(reader->descriptor);
        free(reader);
        return ERR_SYSTEM;
    }
    *out = reader;
    return OK;
}

void reader_stop(struct reader *reader)
{
    struct query *query;

    if (!reader)
        return;
    pthread_mutex_lock(&reader->lock);
    reader->stopping = true;
    pthread_cond_signal(&reader->asked);
    pthread_mutex_unlock(&reader->lock);
    pthread_join(reader->thread, NULL);
    while ((query = take(&reader->questions)) || (query = take(&reader->answers)))
        query_free(query);
    close(reader->descriptor);
    pthread_cond_destroy(&reader->asked);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

void reader_ask(struct reader *reader, struct query *query)
{
    pthread_mutex_lock(&reader->lock);
    put(&reader->questions, query);
    pthread_cond_signal(&reader->asked);
    pthread_mutex_unlock(&reader->lock);
}

int reader_descriptor(const struct reader *reader)
{
    return reader->descriptor;
}

struct query *reader_answer(struct reader *reader)
{
    pthread_mutex_lock(&reader->lock);
    struct query *query = take(&reader->answers);
    pthread_mutex_unlock(&reader->lock);
    return query;
}
