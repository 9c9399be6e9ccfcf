/* idempotency.c - a creating request that comes again is answered as the first time.
 *
 * The handler renders its answer inside the transaction that creates, and reply_commit() stores
 * it there: either both are in the database or neither. So a refusal, or a failure, is not stored,
 * and the same key may be sent with a request that was put right.
 *
 * What is kept is what the handler says: status, its own headers, body, of any size. Trace ids and
 * limits are the repeat's. Who may ask is asked again: the stages before have let it through. */
#include "common/store/idempotency.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "fcgi/pipeline.h"

#include <unistd.h>

#define WAIT_US     (2 * US_PER_S)  /* for an equal request under way */
#define SDK_TERM_US (60 * US_PER_S) /* sdk_models 6.12, decision 44 */
#define SDK_AGENT   STR("aragora-python-sdk/")
#define KEY_MAX     255
#define HEADER      STR("Idempotency-Key")

struct idempotent {
    struct idempotency id;
    struct seal_key seal;
    int64_t term_us;
    int lock_fd;
    size_t headers; /* those that the stages before have set */
};

/* IDEMPOTENCY_KEY_PATTERN. A comma may be where a web server has joined two. */
static bool acceptable(struct str key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.at[i] <= ' ' || key.at[i] > '~' || key.at[i] == ',')
            return false;
    return key.len >= 1 && key.len <= KEY_MAX;
}

static void add_part(struct buf *buf, struct str part)
{
    buf_printf(buf, "%zu:", part.len);
    buf_str(buf, part);
}

/* Of what was asked for, however its path was spelt. */
static struct str digest(const struct request *r)
{
    CLEANUP(buf_free) struct buf whole = { 0 };

    add_part(&whole, str_from(r->route->path));
    for (size_t i = 0; i < PARAMS_MAX; i++)
        add_part(&whole, r->params[i]);
    add_part(&whole, r->query);
    add_part(&whole, r->body);
    return sha256_hex(r->arena, buf_view(&whole));
}

static bool may_come_again(const struct request *r)
{
    return header(r, "idempotency-key").at || str_starts(header(r, "user-agent"), SDK_AGENT);
}

/* The sent key, or one for a client that repeats without any: no sent key has a space in it. */
static enum result choose_key(struct idempotent *out, struct request *r)
{
    struct str sent = header(r, "idempotency-key");

    out->term_us = IDEMPOTENCY_TERM_US;
    out->id.key = str_trim(sent);
    if (sent.at &&
        (exchange_headers(exchange_of(r), "idempotency-key") > 1 || !acceptable(out->id.key)))
        return refuse(r, ERR_INVALID_VALUE, .field = HEADER,
                      .message = STR("Idempotency-Key must be one key of 1 to 255 visible ASCII"
                                     " characters without a comma"));
    if (!sent.at) {
        out->term_us = SDK_TERM_US;
        out->id.key = arena_printf(r->arena, "sdk " STR_FMT, STR_ARG(out->id.request));
    }
    return OK;
}

static enum result refuse_busy(struct request *r)
{
    return refuse(r, ERR_IDEMPOTENCY_BUSY, .field = HEADER, .retry_after_s = 1);
}

static int64_t wait_until(const struct request *r)
{
    int64_t until_us = monotonic_us() + WAIT_US;

    return until_us < r->deadline_us ? until_us : r->deadline_us;
}

enum result stage_idempotency(struct request *r)
{
    if (!route_creates(r->route) || !may_come_again(r))
        return OK;
    struct idempotent *own = arena_alloc(r->arena, sizeof(*own));
    own->id.request = digest(r);
    TRY(choose_key(own, r));
    own->id.org_id = r->who.org_id.at ? r->who.org_id : STR("");
    own->id.principal = r->who.user_id.len
                            ? r->who.user_id
                            : arena_printf(r->arena, "ip:" STR_FMT, STR_ARG(r->address));
    own->id.operation = arena_printf(r->arena, "POST %s", r->route->path);
    TRY(idempotency_seal_key(&own->seal, r->arena, r->db));
    enum result result = idempotency_lock(&own->lock_fd, r->arena, &own->id, wait_until(r));
    if (result == ERR_IDEMPOTENCY_BUSY)
        return refuse_busy(r);
    TRY(result);
    r->idempotent = own;
    return OK;
}

/* As response_head() writes them, so that the form is known already. */
static struct bytes packed(const struct request *r)
{
    struct response own = { .status = r->response->status,
                            .type = r->response->type,
                            .body = r->response->body };
    struct buf *out = arena_buf(r->arena);

    for (size_t i = r->idempotent->headers; i < r->response->header_count; i++)
        own.headers[own.header_count++] = r->response->headers[i];
    response_head(out, &own);
    buf_str(out, own.body);
    return (struct bytes){ (const unsigned char *)out->at, out->len };
}

static void unpack(struct request *r, struct bytes answer)
{
    struct str rest = { (const char *)answer.at, answer.len }, line, name;
    int64_t status = 0;

    while (str_split(&line, &rest, '\n') && (line = str_trim(line)).len) {
        struct str value = line;

        (void)str_split(&name, &value, ':');
        value = str_trim(value);
        if (str_is(name, "Status") && str_int(&status, value, 100, 999))
            continue;
        if (str_is(name, "Content-Type"))
            r->response->type = arena_cstr(r->arena, value);
        else if (!str_is(name, "Content-Length"))
            reply_header(r, arena_cstr(r->arena, name), value);
    }
    r->response->status = (int)status;
    r->response->body = rest.at ? rest : STR("");
}

enum result idempotency_replay(struct request *r)
{
    struct idempotent *own = r->idempotent;
    struct bytes answer;

    if (!own)
        return OK;
    own->headers = r->response->header_count;
    enum result result = idempotency_find(&answer, r->db, &own->id, &own->seal);
    if (result == ERR_NOT_FOUND)
        return OK;
    if (result == ERR_IDEMPOTENCY_REUSED)
        return refuse(r, result, .field = HEADER);
    TRY(result);
    unpack(r, answer);
    reply_header(r, "Idempotent-Replay", STR("true"));
    return DONE;
}

static enum result store(struct request *r)
{
    struct idempotent *own = r->idempotent;

    db_deadline(r->db, wait_until(r));
    enum result result = idempotency_store(r->db, &own->id, &own->seal, packed(r), own->term_us);
    db_deadline(r->db, r->deadline_us);
    return result == ERR_IDEMPOTENCY_BUSY ? refuse_busy(r) : result;
}

enum result reply_commit(struct request *r, struct tx *tx, enum result answered)
{
    if (answered != DONE)
        return answered;
    if (r->idempotent)
        TRY(store(r));
    TRY(tx_commit(tx));
    return DONE;
}

void idempotency_end(struct request *r)
{
    if (r->idempotent)
        close(r->idempotent->lock_fd);
    r->idempotent = NULL;
}
