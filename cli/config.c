/* config.c - aragora config: what the settings are, and where each value comes from. */
#include "cli/command.h"

static const char *const types[] = {
    [SETTING_TEXT] = "text",         [SETTING_SECRET] = "secret", [SETTING_PATH] = "path",
    [SETTING_LIST] = "list",         [SETTING_WORD] = "word",     [SETTING_INT] = "integer",
    [SETTING_REAL] = "real",         [SETTING_FLAG] = "flag",     [SETTING_ORIGINS] = "origins",
    [SETTING_NETWORKS] = "networks",
};

static const char *const origins[] = {
    [ORIGIN_DEFAULT] = "default",
    [ORIGIN_FILE] = "file",
    [ORIGIN_ENVIRONMENT] = "environment",
    [ORIGIN_FLAG] = "flag",
};

/* Type, range and unit or words, default, sentence; for the man page. */
static void print_docs(const struct setting_row *row)
{
    printf("\t%s\t", types[row->type]);
    if (row->type == SETTING_INT || row->type == SETTING_REAL)
        printf("%lld..%lld%s%s", (long long)row->min, (long long)row->max, *row->unit ? " " : "",
               row->unit);
    else if (row->type == SETTING_WORD)
        fputs(row->unit, stdout);
    else if (row->type != SETTING_FLAG)
        printf("%lld..%lld bytes", (long long)row->min, (long long)row->max);
    printf("\t%s\t%s", row->fallback ? row->fallback : "unset", row->doc);
}

static int run(const struct arguments *arguments)
{
    bool docs = argument_option(arguments, OPTION_ALL_DOCS, 0) != NULL;

    if (arguments->count)
        return command_misused(arguments->command);
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        const struct setting_row *row = setting_row(i);
        bool set = setting_str(i).at != NULL;

        printf("%s=%s\t%s", row->name,
               set && row->type == SETTING_SECRET ? "(set)" : setting_cstr(i),
               set ? origins[setting_origin(i)] : "unset");
        if (docs)
            print_docs(row);
        putchar('\n');
    }
    return EXIT_DONE;
}

static const struct option options[] = {
    OPTION_DATA_DIR,
    { "--all-docs", NULL, "with type, range, default and meaning", OPTION_ALL_DOCS, 0 },
    { 0 },
};

const struct command command_config = {
    "config", "", "show every setting, its value and where it comes from", options, run,
};
