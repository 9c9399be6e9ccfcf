#include "cli/open_grant.h"

#include "common/auth/open_mode.h"
#include "common/base/settings.h"
#include "common/store/organization.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

/* By its own setting; ARAGORA_OFFLINE only allows it. */
static bool asked_by_name(void)
{
    return open_mode_asked() && setting_given(SETTING_AUTH_REQUIRED);
}

static enum result passed_over(const char *reason)
{
    if (asked_by_name())
        fprintf(stderr, "aragora: ARAGORA_AUTH_REQUIRED=false is passed over: %s\n", reason);
    return OK;
}

static void grant(uid_t starter)
{
    const struct passwd *account = getpwuid(starter);
    char uid[24];

    snprintf(uid, sizeof(uid), "%lu", (unsigned long)starter);
    setenv(setting_row(SETTING_OPEN_MODE)->name, uid, 1);
    fprintf(stderr,
            "aragora: open mode: programs of user %s on this machine are the owner without a"
            " credential\n",
            account ? account->pw_name : uid);
}

enum result open_grant(struct db *db, uid_t starter)
{
    bool users;

    unsetenv(setting_row(SETTING_OPEN_MODE)->name);
    if (!loopback_host(setting_str(SETTING_BIND_HOST)) && asked_by_name()) {
        fprintf(stderr,
                "aragora: ARAGORA_AUTH_REQUIRED=false needs a loopback address to bind, not %s\n",
                setting_cstr(SETTING_BIND_HOST));
        return ERR_SETTING;
    }
    if (!open_mode_possible())
        return passed_over("ARAGORA_API_TOKEN is set");
    if (organization_has_users(&users, db) != OK) {
        fprintf(stderr, "aragora: the users cannot be counted: %s\n", db_problem(db));
        return ERR_DATABASE;
    }
    if (users)
        return passed_over("there are users");
    grant(starter);
    return OK;
}
