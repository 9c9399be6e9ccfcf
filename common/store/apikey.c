#include "common/store/apikey.h"

#include "common/base/crypto.h"
#include "common/base/id.h"

#define KEY_BYTES    32
#define PREFIX_CHARS 12

const struct field apikey_row[] = {
    { FIELD(struct apikey, key_id) },     { FIELD(struct apikey, user_id) },
    { FIELD(struct apikey, name) },       { FIELD(struct apikey, key_prefix) },
    { FIELD(struct apikey, scopes) },     { FIELD(struct apikey, created_at) },
    { FIELD(struct apikey, expires_at) }, { FIELD(struct apikey, last_used_at) },
    { FIELD(struct apikey, revoked_at) }, { 0 },
};

struct holder {
    struct str org_id, key_id, user_id, role;
    struct json_text scopes;
};

static const struct field holder_row[] = {
    { FIELD(struct holder, org_id) },  { FIELD(struct holder, key_id) },
    { FIELD(struct holder, user_id) }, { FIELD(struct holder, role) },
    { FIELD(struct holder, scopes) },  { 0 },
};

/* A JSON array of texts as a list of struct str. */
static enum result scope_list(struct list *out, struct arena *arena, struct json_text scopes)
{
    struct json_object *array;

    if (str_is(scopes.text, "[]")) { /* of most keys; a parser for it took 5 % of a short request */
        *out = (struct list){ 0 };
        return OK;
    }
    TRY(json_parse(&array, arena, scopes.text, &json_limits_wide, NULL));
    size_t count =
        json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
    struct str *items = arena_array(arena, count, sizeof(*items));
    for (size_t i = 0; i < count; i++)
        items[i] = arena_str(arena, json_str(json_object_array_get_idx(array, i)));
    *out = (struct list){ items, count };
    return OK;
}

enum result apikey_find(struct principal *out, struct db *db, struct str key)
{
    struct arena *arena = db_arena(db);
    struct holder holder;
    struct list scopes;

    if (!str_starts(key, STR("ara_")) || key.len < 15 || key.len > 200)
        return ERR_AUTH_INVALID;
    /* Found by the hash of the whole key: there is no byte-wise comparison that timing could
     * tell anything about. */
    TRY(db_one(&holder, db_system(db), holder_row, ERR_AUTH_INVALID,
               "SELECT k.org_id, k.key_id, k.user_id, m.role, k.scopes FROM api_keys k"
               " JOIN organization_memberships m ON m.org_id = k.org_id AND m.user_id = k.user_id"
               " JOIN users u ON u.user_id = k.user_id"
               " WHERE k.key_hash = $1 AND k.revoked_at IS NULL AND m.status = 'active'"
               " AND u.is_active = 1 AND u.deleted_at IS NULL"
               " AND (k.expires_at IS NULL OR k.expires_at > (SELECT now_us()))",
               BIND(sha256_hex(arena, key))));
    TRY(scope_list(&scopes, arena, holder.scopes));
    *out = (struct principal){
        .credential = CREDENTIAL_API_KEY,
        .role = role_find(holder.role),
        .user_id = holder.user_id,
        .org_id = holder.org_id,
        .key_id = holder.key_id,
        .scopes = scopes,
    };
    return OK;
}

enum result apikey_create(struct str *key, struct db *db, struct str user_id, struct str name,
                          struct json_text scopes, int64_t life_us)
{
    struct arena *arena = db_arena(db);
    unsigned char secret[KEY_BYTES];
    int64_t changed;

    random_bytes(secret, sizeof(secret));
    struct str text =
        arena_printf(arena, "ara_" STR_FMT, STR_ARG(base64url_text(arena, secret, sizeof(secret))));
    TRY(db_run(&changed, db,
               "INSERT INTO api_keys (org_id, key_id, user_id, name, key_prefix, key_hash, scopes,"
               " created_at, expires_at)"
               " SELECT org_id, $2, user_id, $4, $5, $6, $7, now_us(),"
               " CASE WHEN $8 = 0 THEN NULL ELSE now_us() + $8 END"
               " FROM organization_memberships WHERE org_id = $1 AND user_id = $3",
               BIND(id_new(arena, "key_"), user_id, name, str_slice(text, 0, PREFIX_CHARS),
                    sha256_hex(arena, text), scopes, life_us)));
    if (changed == 0)
        return ERR_NOT_FOUND;
    *key = text;
    return OK;
}

enum result apikey_list(struct list *out, struct db *db)
{
    return db_all(out, db, apikey_row, sizeof(struct apikey),
                  "SELECT key_id, user_id, name, key_prefix, scopes, created_at, expires_at,"
                  " last_used_at, revoked_at FROM api_keys WHERE org_id = $1 ORDER BY created_at",
                  NO_BINDS);
}

enum result apikey_revoke(struct db *db, struct str key_id)
{
    int64_t changed;

    TRY(db_run(&changed, db,
               "UPDATE api_keys SET revoked_at = (SELECT now_us())"
               " WHERE org_id = $1 AND key_id = $2 AND revoked_at IS NULL",
               BIND(key_id)));
    return changed ? OK : ERR_NOT_FOUND;
}
