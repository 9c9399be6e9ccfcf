/* apikey.h - API keys: "ara_" and 32 random bytes in base64url (auth.md 1.3).
 *
 * Only the SHA-256 of a key is stored; the key itself is shown once, when it is made. */
#ifndef ARAGORA_APIKEY_H
#define ARAGORA_APIKEY_H

#include "common/auth/principal.h"
#include "common/db/db.h"

struct apikey { /* strings live in the session's arena */
    struct str key_id, user_id, name, key_prefix;
    struct json_text scopes;
    struct utc created_at, expires_at, last_used_at, revoked_at;
};

extern const struct field apikey_row[];

/* Who sends this key; strings live in the session's arena. Goes over all organisations, since
 * the key decides which. ERR_AUTH_INVALID: unknown, expired, revoked, or its user is not
 * active. */
MUST_USE enum result apikey_find(struct principal *out, struct db *db, struct str key);
/* Makes a key in the session's organisation and stores its hash; *key is shown once. scopes: a
 * JSON array of texts. life_us 0: no end. ERR_NOT_FOUND: the user is not a member. */
MUST_USE enum result apikey_create(struct str *key, struct db *db, struct str user_id,
                                   struct str name, struct json_text scopes, int64_t life_us);
MUST_USE enum result apikey_list(struct list *out, struct db *db);
/* ERR_NOT_FOUND: no such key in the organisation, or already revoked. */
MUST_USE enum result apikey_revoke(struct db *db, struct str key_id);

#endif
