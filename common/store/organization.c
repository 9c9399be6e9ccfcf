#include "common/store/organization.h"

static enum result insert_all(struct db *db, struct str org_id, struct str user_id,
                              struct str email, enum role role, struct str tier)
{
    struct db *all = db_system(db);

    TRY(db_run(NULL, all,
               "INSERT INTO organizations (org_id, name, slug, tier, owner_id, created_at,"
               " updated_at) VALUES ($1, $1, $1, $2, $3, (SELECT now_us()), (SELECT now_us()))"
               " ON CONFLICT (org_id) DO NOTHING",
               BIND(org_id, tier, user_id)));
    TRY(db_run(NULL, all,
               "INSERT INTO users (user_id, email, created_at, updated_at)"
               " VALUES ($1, $2, (SELECT now_us()), (SELECT now_us()))"
               " ON CONFLICT (user_id) DO NOTHING",
               BIND(user_id, email)));
    return db_run(NULL, all,
                  "INSERT INTO organization_memberships (org_id, user_id, role, joined_at)"
                  " VALUES ($1, $2, $3, (SELECT now_us()))"
                  " ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role",
                  BIND(org_id, user_id, role_name(role)));
}

enum result organization_member(struct db *db, struct str org_id, struct str user_id,
                                struct str email, enum role role)
{
    CLEANUP(tx_end) struct tx tx = { 0 };

    TRY(tx_begin(&tx, db));
    TRY(insert_all(db, org_id, user_id, email, role, STR("free")));
    return tx_commit(&tx);
}

enum result organization_default(struct db *db)
{
    CLEANUP(tx_end) struct tx tx = { 0 };

    TRY(tx_begin(&tx, db));
    TRY(insert_all(db, ORG_DEFAULT, USER_OWNER, STR("owner@localhost"), ROLE_OWNER,
                   STR("enterprise")));
    return tx_commit(&tx);
}

struct users {
    bool any;
};

static const struct field users_row[] = { { FIELD(struct users, any) }, { 0 } };

enum result organization_has_users(bool *out, struct db *db)
{
    struct users users;

    TRY(db_one(&users, db_system(db), users_row, ERR_DATABASE,
               "SELECT count(*) > 0 FROM users WHERE user_id <> $1", BIND(USER_OWNER)));
    *out = users.any;
    return OK;
}
