/* command.c - reading a command line by the rows of a command's options. */
#include "cli/command.h"

#include <stdio.h>

static const struct option *option_find(const struct command *command, struct str name)
{
    for (const struct option *option = command->options; option->name; option++)
        if (str_is(name, option->name))
            return option;
    return NULL;
}

/* Takes argv[*i], and the next one if that is its value. */
static enum result option_take(struct arguments *out, int argc, char **argv, int *i)
{
    struct str rest = str_from(argv[*i]), name;
    (void)str_split(&name, &rest, '=');
    const char *joined = strchr(argv[*i], '=');
    const struct option *option = option_find(out->command, name);
    const char *value = joined ? joined + 1 : "";

    if (!option) {
        fprintf(stderr, "aragora: " STR_FMT ": unknown option\n", STR_ARG(name));
        return ERR_VALIDATION;
    }
    if (option->argument ? !joined && *i + 1 >= argc : joined != NULL) {
        fprintf(stderr, "aragora: %s: %s\n", option->name,
                option->argument ? "its value is missing" : "takes no value");
        return ERR_VALIDATION;
    }
    if (option->argument && !joined)
        value = argv[++*i];
    if (option->id == OPTION_SETTING)
        setting_override(option->setting, option->argument ? value : "true");
    else
        out->given[out->given_count++] = (struct given){ option->id, value };
    return OK;
}

enum result arguments_read(struct arguments *out, struct arena *arena,
                           const struct command *command, int argc, char **argv)
{
    struct arguments read = {
        .command = command,
        .at = arena_array(arena, (size_t)argc + 1, sizeof(*read.at)),
        .given = arena_array(arena, (size_t)argc + 1, sizeof(*read.given)),
    };
    bool options = true; /* "--" ends them */

    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            TRY(option_take(&read, argc, argv, &i));
        else
            read.at[read.count++] = argv[i];
    }
    *out = read;
    return OK;
}

const char *argument_option(const struct arguments *arguments, enum option_id id, size_t n)
{
    for (size_t i = 0; i < arguments->given_count; i++)
        if (arguments->given[i].id == id && n-- == 0)
            return arguments->given[i].value;
    return NULL;
}

const char *argument_last(const struct arguments *arguments, enum option_id id)
{
    for (size_t i = arguments->given_count; i-- > 0;)
        if (arguments->given[i].id == id)
            return arguments->given[i].value;
    return NULL;
}

void command_help(const struct command *command, FILE *out)
{
    fprintf(out, "usage: aragora %s%s%s%s\n\n%s\n", command->name,
            command->options->name ? " [OPTION]..." : "", *command->arguments ? " " : "",
            command->arguments, command->doc);
    for (const struct option *option = command->options; option->name; option++) {
        fprintf(out, "%s  %-14s %-5s %s", option == command->options ? "\n" : "", option->name,
                option->argument ? option->argument : "", option->doc);
        if (option->id == OPTION_SETTING)
            fprintf(out, " (%s)", setting_row(option->setting)->name);
        fputc('\n', out);
    }
}

int command_misused(const struct command *command)
{
    command_help(command, stderr);
    return EXIT_USAGE;
}
