/* apikey.c - aragora apikey: making, listing and ending API keys.
 *
 * A key is printed alone on standard output, so that a script can take it: the one time that
 * it is shown. */
#include "cli/command.h"

#include "common/base/clock.h"
#include "common/store/apikey.h"

#define DAY_US   (INT64_C(24) * 3600 * US_PER_S)
#define DAYS_MAX 36500

static struct json_text scopes_json(struct arena *arena, const struct arguments *arguments)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    const char *scope;

    buf_char(&text, '[');
    for (size_t i = 0; (scope = argument_option(arguments, OPTION_SCOPE, i)); i++) {
        buf_json_comma(&text);
        buf_json_str(&text, str_from(scope));
    }
    buf_char(&text, ']');
    return (struct json_text){ arena_str(arena, buf_view(&text)) };
}

/* User text must be UTF-8 before it goes into JSON or the database. */
static bool texts_are_good(const struct arguments *arguments)
{
    for (size_t i = 0; i < arguments->given_count; i++)
        if (!str_is_text(str_from(arguments->given[i].value)))
            return false;
    return arguments->count < 2 || str_is_text(str_from(arguments->at[1]));
}

static int create(struct db *db, const struct arguments *arguments)
{
    const char *name = argument_option(arguments, OPTION_NAME, 0);
    const char *user = argument_option(arguments, OPTION_USER, 0);
    const char *days = argument_option(arguments, OPTION_DAYS, 0);
    int64_t life = 0;
    struct str key;

    if (!name)
        name = arguments->count > 1 ? arguments->at[1] : "";
    if (days && !str_int(&life, str_from(days), 1, DAYS_MAX)) {
        fprintf(stderr, "aragora: --days: a number from 1 to %d\n", DAYS_MAX);
        return EXIT_USAGE;
    }
    enum result result = apikey_create(&key, db, user ? str_from(user) : USER_OWNER, str_from(name),
                                       scopes_json(db_arena(db), arguments), life * DAY_US);
    if (result == ERR_NOT_FOUND)
        fputs("aragora: no such organisation, or the user is not a member of it\n", stderr);
    else if (result != OK)
        fprintf(stderr, "aragora: the key cannot be stored: %s\n", db_problem(db));
    if (result != OK)
        return EXIT_FAILED;
    printf(STR_FMT "\n", STR_ARG(key));
    return EXIT_DONE;
}

static int list(struct db *db)
{
    struct list keys;

    if (apikey_list(&keys, db) != OK) {
        fprintf(stderr, "aragora: the keys cannot be read: %s\n", db_problem(db));
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < keys.count; i++) {
        const struct apikey *key = (const struct apikey *)keys.at + i;
        const char *state = key->revoked_at.us                                        ? "revoked"
                            : key->expires_at.us && key->expires_at.us < utc_now().us ? "expired"
                                                                                      : "active";
        char made[UTC_TEXT];

        utc_text_z(made, key->created_at);
        printf(STR_FMT "\t" STR_FMT "...\t%s\t%s\t" STR_FMT "\t" STR_FMT "\t" STR_FMT "\n",
               STR_ARG(key->key_id), STR_ARG(key->key_prefix), made, state, STR_ARG(key->user_id),
               STR_ARG(key->scopes.text), STR_ARG(key->name));
    }
    return EXIT_DONE;
}

static int revoke(struct db *db, const char *id)
{
    enum result result = apikey_revoke(db, str_from(id));

    if (result == ERR_NOT_FOUND)
        fprintf(stderr, "aragora: %s: no such key, or revoked already\n", id);
    else if (result != OK)
        fprintf(stderr, "aragora: the key cannot be revoked: %s\n", db_problem(db));
    return result == OK ? EXIT_DONE : EXIT_FAILED;
}

/* create [NAME], list, revoke ID; only create knows more options than --org. */
static bool is_well_formed(const struct arguments *arguments)
{
    const char *verb = arguments->count ? arguments->at[0] : "";

    if (strcmp(verb, "create") == 0)
        return arguments->count <= 2 &&
               !(arguments->count == 2 && argument_option(arguments, OPTION_NAME, 0));
    for (size_t i = 0; i < arguments->given_count; i++)
        if (arguments->given[i].id != OPTION_ORG)
            return false;
    return strcmp(verb, "list") == 0 ? arguments->count == 1
                                     : strcmp(verb, "revoke") == 0 && arguments->count == 2;
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;
    const char *org = argument_option(arguments, OPTION_ORG, 0);

    if (!is_well_formed(arguments))
        return command_misused(arguments->command);
    if (!texts_are_good(arguments)) {
        fputs("aragora: an argument is not UTF-8\n", stderr);
        return EXIT_USAGE;
    }
    if (command_database(&db, arena, NULL) != OK)
        return EXIT_FAILED;
    db_use(db, arena, org ? str_from(org) : ORG_DEFAULT);
    switch (arguments->at[0][0]) {
    case 'c':
        return create(db, arguments);
    case 'l':
        return list(db);
    default:
        return revoke(db, arguments->at[1]);
    }
}

static const struct option options[] = {
    OPTION_DATA_DIR,
    { "--name", "NAME", "create: what the key is for", OPTION_NAME, 0 },
    { "--scope", "SCOPE", "create: a permission it is limited to; may be repeated", OPTION_SCOPE,
      0 },
    { "--days", "N", "create: days that it is good for; else without end", OPTION_DAYS, 0 },
    { "--user", "ID", "create: whose key; else the built-in owner", OPTION_USER, 0 },
    { "--org", "ID", "the organisation; else the default one", OPTION_ORG, 0 },
    { 0 },
};

const struct command command_apikey = {
    "apikey", "create [NAME] | list | revoke ID", "make, list and end API keys", options, run,
};
