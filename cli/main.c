/* main.c - aragora: the table of commands. */
#include "cli/command.h"

#include "common/base/log.h"
#include "handlers/handler.h"

#include <signal.h>
#include <sys/stat.h>

static const struct command *const commands[] = {
    &command_serve,  &command_ask,     &command_debate,  &command_receipt,
    &command_verify, &command_migrate, &command_apikey,  &command_routes,
    &command_config, &command_doctor,  &command_version,
};

static void usage(FILE *out)
{
    fputs("usage: aragora COMMAND [OPTION]... [ARGUMENT]...\n\n", out);
    for (size_t i = 0; i < COUNT(commands); i++)
        fprintf(out, "  %-8s %-31s %s\n", commands[i]->name, commands[i]->arguments,
                commands[i]->doc);
    fputs("\naragora COMMAND --help lists a command's options.\n", out);
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int run(const struct command *command, int argc, char **argv)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct arguments arguments;
    const char *problem = "";

    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (is_help(argv[i])) {
            command_help(command, stdout);
            return EXIT_DONE;
        }
    }
    if (arguments_read(&arguments, arena, command, argc, argv) != OK)
        return EXIT_USAGE;
    if (settings_load(&problem) != OK) {
        fprintf(stderr, "aragora: %s\n", problem);
        return EXIT_USAGE;
    }
    route_tables_choose();
    return command->run(&arguments);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *command = find(name);

    umask(0077);
    signal(SIGPIPE, SIG_IGN);
    log_open("aragora", LOG_WARNING, LOG_TEXT);
    if (is_help(name) || strcmp(name, "help") == 0) {
        usage(stdout);
        return EXIT_DONE;
    }
    if (!command) {
        if (argc > 1)
            fprintf(stderr, "aragora: %s: unknown command\n\n", name);
        usage(stderr);
        return EXIT_USAGE;
    }
    int status = run(command, argc - 2, argv + 2);
    if (fflush(stdout) != 0 && status == EXIT_DONE)
        return EXIT_FAILED; /* a full disk must not look like success */
    return status;
}
