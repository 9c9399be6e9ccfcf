/* authenticate.c - who sends the request (auth.md 1).
 *
 * A credential that is sent must be good, on public routes too; probes ask nobody. The tenant of
 * a request without one is none, so its queries find nothing. */
#include "common/base/crypto.h"
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

/* Digests have one length, so the time tells nothing of the token's. */
static bool is_server_token(struct str token)
{
    unsigned char sent[SHA256_BYTES], good[SHA256_BYTES];
    struct str expected = setting_str(SETTING_API_TOKEN);

    if (!expected.len)
        return false;
    sha256(sent, token.at, token.len);
    sha256(good, expected.at, expected.len);
    return secret_eq((struct str){ (char *)sent, sizeof(sent) },
                     (struct str){ (char *)good, sizeof(good) });
}

static enum result identify(struct request *r, struct str token)
{
    if (is_server_token(token)) {
        r->who = (struct principal){ .credential = CREDENTIAL_SERVER_TOKEN,
                                     .role = ROLE_OWNER,
                                     .user_id = USER_OWNER,
                                     .org_id = ORG_DEFAULT };
        return OK;
    }
    if (!str_starts(token, STR("ara_")) || !str_is_text(token))
        return ERR_AUTH_INVALID;
    if (!r->db)
        return worker_database_fault(exchange_of(r)->worker);
    return apikey_find(&r->who, db_system(r->db), token);
}

static void use_database(struct request *r, struct db *db)
{
    if (!db)
        return;
    r->db = db;
    db_use(db, r->arena, STR_NONE);
    db_deadline(db, r->deadline_us);
}

enum result stage_authenticate(struct request *r)
{
    struct worker *worker = exchange_of(r)->worker;
    struct str token = sent_token(r);

    if (r->route->limit == LIMIT_NONE && r->route->public) {
        use_database(r, worker_database_now(worker));
        return OK;
    }
    if (!token.at && !r->route->public)
        return refuse(r, ERR_AUTH_REQUIRED);
    use_database(r, worker_database(worker));
    if (token.at)
        TRY(identify(r, token));
    if (!r->db)
        return worker_database_fault(worker);
    db_use(r->db, r->arena, r->who.org_id);
    return OK;
}
