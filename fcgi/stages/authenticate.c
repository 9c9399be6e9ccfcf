/* authenticate.c - who sends the request (auth.md 1).
 *
 * A credential that is sent must be good, on public routes too; probes ask nobody. The tenant of
 * a request without one is none, so its queries find nothing; in open mode it may be the owner's.
 */
#include "common/auth/open_mode.h"
#include "common/auth/origin.h"
#include "common/auth/peer.h"
#include "common/auth/server_token.h"
#include "common/base/settings.h"
#include "common/store/apikey.h"
#include "fcgi/pipeline.h"

/* STR_NONE: none was sent. Another scheme gives a token that nothing equals. */
static struct str sent_token(const struct request *r)
{
    struct str value = str_trim(header(r, "authorization"));
    struct str key = str_trim(header(r, "x-api-key"));

    if (!value.len)
        return key.len ? key : STR_NONE;
    if (value.len > 7 && str_eq_nocase(str_slice(value, 0, 7), STR("bearer ")))
        return str_trim(str_slice(value, 7, value.len));
    return STR("");
}

static enum result identify(struct request *r, struct str token)
{
    if (server_token_is(token)) {
        r->who = local_owner(CREDENTIAL_SERVER_TOKEN);
        return OK;
    }
    if (!str_starts(token, STR("ara_")) || !str_is_text(token))
        return ERR_AUTH_INVALID;
    if (!r->db)
        return worker_database_fault(exchange_of(r)->worker);
    return apikey_find(&r->who, db_system(r->db), token);
}

static bool is_forwarded(const struct request *r)
{
    for (const char *const *name = open_mode_forwarding; *name; name++)
        if (header(r, *name).at)
            return true;
    return false;
}

/* 0, which no socket has, if the web server does not tell. */
static int64_t port_param(const struct exchange *exchange, const char *name)
{
    int64_t port;

    return str_int(&port, exchange_param(exchange, name), 1, UINT16_MAX) ? port : 0;
}

/* The client's connection to the web server. */
static struct peer peer_of(const struct exchange *exchange)
{
    return (struct peer){
        .address = exchange_param(exchange, "REMOTE_ADDR"),
        .server_address = exchange_param(exchange, "SERVER_ADDR"),
        .port = port_param(exchange, "REMOTE_PORT"),
        .server_port = port_param(exchange, "SERVER_PORT"),
    };
}

static bool is_local_owner(const struct request *r)
{
    struct open_caller caller = {
        .host = header(r, "host"),
        .origin = header(r, "origin"),
        .origin_named = origin_named(header(r, "origin")),
        .forwarded = is_forwarded(r),
    };
    uid_t starter;

    if (!open_mode_granted(&starter))
        return false;
    struct peer peer = peer_of(exchange_of(r));
    caller.peer_known = peer_uid(&caller.peer, &peer) == OK;
    return open_mode_admits(&caller, starter);
}

static void use_database(struct request *r, struct db *db)
{
    if (!db)
        return;
    r->db = db;
    db_use(db, r->arena, STR_NONE);
    db_deadline(db, r->deadline_us);
}

/* Liveness must not wait for a database that hangs; who is asked often tends it in between. */
static enum result admit_probe(struct request *r)
{
    struct worker *worker = exchange_of(r)->worker;

    if (!r->route->no_database)
        use_database(r, exchange_of(r)->single ? worker_database(worker)
                                               : worker_database_now(worker));
    return OK;
}

static enum result authenticate(struct request *r)
{
    struct worker *worker = exchange_of(r)->worker;
    struct str token = sent_token(r);

    if (r->route->limit == LIMIT_NONE && r->route->public)
        return admit_probe(r);
    if (!token.at && is_local_owner(r))
        r->who = local_owner(CREDENTIAL_OPEN);
    else if (!token.at && !r->route->public)
        return refuse(r, ERR_AUTH_REQUIRED);
    if (token.at || !r->route->no_database)
        use_database(r, worker_database(worker));
    if (token.at)
        TRY(identify(r, token));
    if (!r->db)
        return r->route->no_database ? OK : worker_database_fault(worker);
    db_use(r->db, r->arena, r->who.org_id);
    return OK;
}

/* Who sends a credential that is not good counts as one without: guessing has a limit too. */
enum result stage_authenticate(struct request *r)
{
    enum result result = authenticate(r);

    if (result == ERR_AUTH_REQUIRED || result == ERR_AUTH_INVALID)
        TRY(stage_rate_limit(r));
    return result;
}
