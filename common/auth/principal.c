/* principal.c - roles and the permission table. */
#include "common/auth/principal.h"

#include <stdlib.h>

enum {
    VIEWER = 1 << ROLE_VIEWER,
    ANALYST = 1 << ROLE_ANALYST,
    MEMBER = 1 << ROLE_MEMBER,
    CREATOR = 1 << ROLE_DEBATE_CREATOR,
    LEAD = 1 << ROLE_TEAM_LEAD,
    OFFICER = 1 << ROLE_COMPLIANCE_OFFICER,
    ADMIN = 1 << ROLE_ADMIN,
    OWNER = 1 << ROLE_OWNER,
    EVERYONE = VIEWER | ANALYST | MEMBER | CREATOR | LEAD | OFFICER | ADMIN | OWNER,
};

static const struct permission {
    const char *key;
    unsigned roles;
} permissions[] = {
#define PERMISSION(key, roles) { key, roles },
#include "common/auth/permissions.def"
#undef PERMISSION
};

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_NONE] = "",
    [ROLE_VIEWER] = "viewer",
    [ROLE_ANALYST] = "analyst",
    [ROLE_MEMBER] = "member",
    [ROLE_DEBATE_CREATOR] = "debate_creator",
    [ROLE_TEAM_LEAD] = "team_lead",
    [ROLE_COMPLIANCE_OFFICER] = "compliance_officer",
    [ROLE_ADMIN] = "admin",
    [ROLE_OWNER] = "owner",
};

enum role role_find(struct str name)
{
    for (enum role role = ROLE_VIEWER; role < ROLE_COUNT; role++)
        if (str_is(name, role_names[role]))
            return role;
    return ROLE_NONE;
}

const char *role_name(enum role role)
{
    return role_names[role];
}

static char dotted(char c)
{
    if (c == ':')
        return '.';
    return c;
}

/* <0, 0, >0, with every ':' read as '.'. */
static int compare_keys(struct str key, const char *row)
{
    size_t i = 0;

    for (; i < key.len && row[i]; i++)
        if (dotted(key.at[i]) != row[i])
            return dotted(key.at[i]) < row[i] ? -1 : 1;
    return i < key.len ? 1 : row[i] ? -1 : 0;
}

static int compare_rows(const void *key, const void *row)
{
    return compare_keys(*(const struct str *)key, ((const struct permission *)row)->key);
}

bool permission_roles(unsigned *out, struct str permission)
{
    const struct permission *row =
        bsearch(&permission, permissions, COUNT(permissions), sizeof(*permissions), compare_rows);

    if (!row)
        return false;
    *out = row->roles;
    return true;
}

static bool scope_covers(struct str scope, struct str permission)
{
    if (str_is(scope, "*"))
        return true;
    if (scope.len >= 2 && scope.at[scope.len - 1] == '*') { /* "debates.*" */
        if (permission.len < scope.len)
            return false;
        permission.len = --scope.len;
    }
    if (scope.len != permission.len)
        return false;
    for (size_t i = 0; i < scope.len; i++)
        if (dotted(scope.at[i]) != dotted(permission.at[i]))
            return false;
    return true;
}

bool principal_may(const struct principal *who, struct str permission)
{
    unsigned roles;

    if (who->credential == CREDENTIAL_NONE || !permission_roles(&roles, permission) ||
        !(roles >> who->role & 1))
        return false;
    if (who->scopes.count == 0)
        return true;
    for (size_t i = 0; i < who->scopes.count; i++)
        if (scope_covers(((const struct str *)who->scopes.at)[i], permission))
            return true;
    return false;
}

struct principal local_owner(enum credential credential)
{
    return (struct principal){
        .credential = credential, .role = ROLE_OWNER, .user_id = USER_OWNER, .org_id = ORG_DEFAULT
    };
}
