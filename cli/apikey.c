/* apikey.c - aragora apikey: keys of the default organisation's owner. */
#include "cli/command.h"

#include "common/base/clock.h"
#include "common/store/apikey.h"

#include <stdio.h>

static int create(struct db *db, const char *name)
{
    struct str key;

    if (apikey_create(&key, db, USER_OWNER, str_from(name), (struct json_text){ STR("[]") }, 0) !=
        OK) {
        fprintf(stderr, "aragora: the key cannot be stored: %s\n", db_problem(db));
        return EXIT_FAILED;
    }
    printf(STR_FMT "\n", STR_ARG(key)); /* the one time that it is shown */
    return EXIT_DONE;
}

static int list(struct db *db)
{
    struct list keys;
    char made[UTC_TEXT];

    if (apikey_list(&keys, db) != OK)
        return EXIT_FAILED;
    for (size_t i = 0; i < keys.count; i++) {
        const struct apikey *key = (const struct apikey *)keys.at + i;

        utc_text_z(made, key->created_at);
        printf(STR_FMT "\t" STR_FMT "...\t%s\t%s\t" STR_FMT "\n", STR_ARG(key->key_id),
               STR_ARG(key->key_prefix), made, key->revoked_at.us ? "revoked" : "active",
               STR_ARG(key->name));
    }
    return EXIT_DONE;
}

static int revoke(struct db *db, const char *id)
{
    if (apikey_revoke(db, str_from(id)) == OK)
        return EXIT_DONE;
    fprintf(stderr, "aragora: %s: no such key, or revoked already\n", id);
    return EXIT_FAILED;
}

int command_apikey(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;
    const char *verb = arguments->count ? arguments->at[0] : "";
    const char *what = arguments->count > 1 ? arguments->at[1] : NULL;
    bool known = (strcmp(verb, "create") == 0 && arguments->count <= 2) ||
                 (strcmp(verb, "list") == 0 && !what) || (strcmp(verb, "revoke") == 0 && what);

    if (!known) {
        fputs("usage: aragora apikey create [NAME] | list | revoke ID\n", stderr);
        return EXIT_USAGE;
    }
    if (command_database(&db, arena, NULL) != OK)
        return EXIT_FAILED;
    if (*verb == 'c')
        return create(db, what ? what : "");
    return *verb == 'l' ? list(db) : revoke(db, what);
}
