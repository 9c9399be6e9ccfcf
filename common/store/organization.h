/* organization.h - tenants and their members. */
#ifndef ARAGORA_ORGANIZATION_H
#define ARAGORA_ORGANIZATION_H

#include "common/auth/principal.h"
#include "common/db/db.h"

/* The default organisation and its built-in owner, if they are not there (decisions 1, 49). */
MUST_USE enum result organization_default(struct db *db);
/* A further organisation with one member of that role; both are made if absent. */
MUST_USE enum result organization_member(struct db *db, struct str org_id, struct str user_id,
                                         struct str email, enum role role);
/* Is there a user, of any organisation, beside the built-in owner? */
MUST_USE enum result organization_has_users(bool *out, struct db *db);

#endif
