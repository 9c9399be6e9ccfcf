/* receipt.c - aragora receipt: exporting receipts, and changing the key that signs them. */
#include "cli/command.h"

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/store/receipt_chain.h"
#include "common/store/receipts.h"

static const char *const formats[] = { "json", "odr", "odr-chain", NULL };
static const char *const odr_versions[] = { "0.1", "0.2", NULL };

static const char *option_or(const struct arguments *arguments, enum option_id id,
                             const char *fallback)
{
    const char *value = argument_option(arguments, id, 0);

    return value ? value : fallback;
}

static bool is_one_of(const char *word, const char *const *words, const char *option)
{
    for (size_t i = 0; words[i]; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    fprintf(stderr, "aragora: %s: unknown %s\n", word, option);
    return false;
}

static int complain(enum result result, struct db *db, const char *id)
{
    if (result == ERR_RECEIPT_NOT_FOUND)
        fprintf(stderr, "aragora: %s: no such receipt\n", id);
    else if (result == ERR_ERASED)
        fprintf(stderr, "aragora: %s: its texts were erased; the native form is left\n", id);
    else
        fprintf(stderr, "aragora: %s: %s %s\n", id, error_row(result)->message, db_problem(db));
    return EXIT_FAILED;
}

static enum result export_read(struct buf *out, struct db *db, const struct arguments *arguments)
{
    const char *format = option_or(arguments, OPTION_FORMAT, "json");
    bool old = strcmp(option_or(arguments, OPTION_ODR_VERSION, "0.2"), "0.1") == 0;
    struct receipt_row row;
    struct str text;

    TRY(receipt_find(&row, db, str_from(arguments->at[1])));
    if (strcmp(format, "odr-chain") == 0)
        return receipt_chain_file(out, db);
    text = row.native;
    if (strcmp(format, "odr") == 0)
        TRY(receipt_odr(&text, db, row.receipt_id, old ? ODR_0_1 : ODR_0_2));
    buf_str(out, text);
    return OK;
}

static int export(struct db *db, const struct arguments *arguments)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    const char *file = option_or(arguments, OPTION_OUTPUT, "-");
    enum result result = export_read(&text, db, arguments);

    if (result != OK)
        return complain(result, db, arguments->at[1]);
    if (strcmp(file, "-") == 0)
        return fwrite(text.at, 1, text.len, stdout) == text.len ? EXIT_DONE : EXIT_FAILED;
    if (file_write(db_arena(db), str_from(file), buf_view(&text), 0644) == OK)
        return EXIT_DONE;
    fprintf(stderr, "aragora: %s: cannot be written\n", file);
    return EXIT_FAILED;
}

static int rotate_key(struct db *db, bool demo)
{
    struct receipt_public_key key;
    enum result result = receipt_key_rotate(&key, db, demo);

    if (result == OK) {
        printf("%s\n", key.key_id);
        return EXIT_DONE;
    }
    if (result == ERR_CONFLICT)
        fputs("aragora: the key was changed meanwhile\n", stderr);
    else if (result == ERR_KEY)
        fputs("aragora: the key in force is missing, or is not the one that the database knows\n",
              stderr);
    else
        fprintf(stderr, "aragora: the key was not changed: %s %s\n", error_row(result)->message,
                db_problem(db));
    return EXIT_FAILED;
}

static bool is_export(const struct arguments *arguments)
{
    return arguments->count && strcmp(arguments->at[0], "export") == 0;
}

/* export ID, rotate-key; only rotate-key knows --demo, and it knows no other. */
static bool is_well_formed(const struct arguments *arguments)
{
    bool demo = argument_option(arguments, OPTION_DEMO, 0) != NULL;

    if (is_export(arguments))
        return arguments->count == 2 && !demo;
    return arguments->count == 1 && strcmp(arguments->at[0], "rotate-key") == 0 &&
           arguments->given_count == (demo ? 1 : 0);
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;

    if (!is_well_formed(arguments))
        return command_misused(arguments->command);
    if (!is_one_of(option_or(arguments, OPTION_FORMAT, "json"), formats, "--format") ||
        !is_one_of(option_or(arguments, OPTION_ODR_VERSION, "0.2"), odr_versions, "--odr-version"))
        return EXIT_USAGE;
    if (command_database(&db, arena, NULL) != OK)
        return EXIT_FAILED;
    if (!is_export(arguments))
        return rotate_key(db, argument_option(arguments, OPTION_DEMO, 0) != NULL);
    const char *org = argument_option(arguments, OPTION_ORG, 0);
    if (org)
        db_use(db, arena, str_from(org));
    return export(db, arguments);
}

static const struct option options[] = {
    OPTION_DATA_DIR,
    { "--format", "FORM", "export: json (as signed), odr or odr-chain", OPTION_FORMAT, 0 },
    { "--odr-version", "N", "export: 0.2 or 0.1", OPTION_ODR_VERSION, 0 },
    { "-o", "FILE", "export: written there; else to standard output", OPTION_OUTPUT, 0 },
    { "--org", "ID", "export: the organisation; else the default one", OPTION_ORG, 0 },
    { "--demo", NULL, "rotate-key: the key of demo debates", OPTION_DEMO, 0 },
    { 0 },
};

const struct command command_receipt = {
    "receipt", "export ID | rotate-key", "export receipts, change their key", options, run,
};
