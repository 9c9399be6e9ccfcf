/* principal.h - who sends a request: user, organisation, role, permissions (auth.md 1, 6). */
#ifndef ARAGORA_PRINCIPAL_H
#define ARAGORA_PRINCIPAL_H

#include "common/base/arena.h"

enum role {
    ROLE_NONE, /* holds nothing */
    ROLE_VIEWER,
    ROLE_ANALYST,
    ROLE_MEMBER,
    ROLE_DEBATE_CREATOR,
    ROLE_TEAM_LEAD,
    ROLE_COMPLIANCE_OFFICER,
    ROLE_ADMIN,
    ROLE_OWNER,
    ROLE_COUNT
};

enum credential { CREDENTIAL_NONE, CREDENTIAL_SERVER_TOKEN, CREDENTIAL_API_KEY, CREDENTIAL_OPEN };

struct principal {
    enum credential credential;
    enum role role;
    struct str user_id; /* STR_NONE: nobody */
    struct str org_id;
    struct str key_id;  /* of an API key */
    struct list scopes; /* of struct str; empty: all that the role may */
};

#define ORG_DEFAULT STR("default")
#define USER_OWNER  STR("local-owner")

/* The default organisation's owner: of the server's token, and of open mode. */
struct principal local_owner(enum credential credential);

enum role role_find(struct str name); /* ROLE_NONE if unknown */
const char *role_name(enum role role);

/* Does the role hold the key, and do the scopes allow it? ':' and '.' are the same; "res.*" and
 * "*" in a scope cover what they say. */
bool principal_may(const struct principal *who, struct str permission);
/* Roles that hold a key by permissions.def, one bit per enum role; false: no such key. */
bool permission_roles(unsigned *out, struct str permission);

#endif
