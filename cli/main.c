/* main.c - aragora: one table of commands, one of options. */
#include "cli/command.h"

#include "common/base/log.h"
#include "common/base/settings.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

static const struct command {
    const char *name, *arguments, *doc;
    int (*run)(const struct arguments *arguments);
} commands[] = {
    { "serve", "[options]", "run the whole server in the foreground", command_serve },
    { "migrate", "", "bring the database's schema up", command_migrate },
    { "apikey", "create [NAME] | list | revoke ID", "make and end API keys", command_apikey },
    { "routes", "[PATH]", "list the routes with file and line", command_routes },
    { "config", "", "show every setting, its value and where it comes from", command_config },
    { "version", "", "print the version", command_version },
};

static const struct option {
    const char *name, *argument, *doc;
    enum setting setting;
    const char *value; /* of an option without an argument */
} options[] = {
    { "--data-dir", "DIR", "database, keys and sockets", SETTING_DATA_DIR, NULL },
    { "--host", "HOST", "address to bind", SETTING_BIND_HOST, NULL },
    { "--port", "PORT", "port of the web server; 0 picks a free one", SETTING_HTTP_PORT, NULL },
    { "--http-port", "PORT", "the same", SETTING_HTTP_PORT, NULL },
    { "--workers", "N", "worker processes", SETTING_WORKERS, NULL },
    { "--offline", NULL, "no call leaves the machine", SETTING_OFFLINE, "true" },
};

static void usage(FILE *out)
{
    fputs("usage: aragora COMMAND [OPTION]... [ARGUMENT]...\n\n", out);
    for (size_t i = 0; i < COUNT(commands); i++)
        fprintf(out, "  %-8s %-34s %s\n", commands[i].name, commands[i].arguments,
                commands[i].doc);
    fputs("\noptions, before their environment variables:\n", out);
    for (size_t i = 0; i < COUNT(options); i++)
        fprintf(out, "  %-12s %-5s %s (%s)\n", options[i].name,
                options[i].argument ? options[i].argument : "", options[i].doc,
                setting_row(options[i].setting)->name);
}

/* Takes option i of the command line; false: there is none of that name, or it lacks a value. */
static bool take_option(int argc, char **argv, int *i)
{
    for (size_t o = 0; o < COUNT(options); o++) {
        if (strcmp(argv[*i], options[o].name) != 0)
            continue;
        if (options[o].argument && *i + 1 >= argc)
            return false;
        setting_override(options[o].setting, options[o].argument ? argv[++*i] : options[o].value);
        return true;
    }
    return false;
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *problem = "";
    struct arguments rest = { 0, argv };
    const struct command *command = argc > 1 ? find(argv[1]) : NULL;

    umask(0077);
    signal(SIGPIPE, SIG_IGN);
    log_open("aragora", LOG_WARNING, LOG_TEXT);
    if (argc > 1 && (strcmp(argv[argc - 1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        usage(stdout);
        return EXIT_DONE;
    }
    if (!command) {
        usage(stderr);
        return EXIT_USAGE;
    }
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            argv[rest.count++] = argv[i];
        } else if (!take_option(argc, argv, &i)) {
            fprintf(stderr, "aragora: %s: unknown option, or its value is missing\n", argv[i]);
            return EXIT_USAGE;
        }
    }
    if (settings_load(&problem) != OK) {
        fprintf(stderr, "aragora: %s\n", problem);
        return EXIT_USAGE;
    }
    return command->run(&rest);
}
