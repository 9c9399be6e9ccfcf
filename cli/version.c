/* version.c - aragora version. */
#include "cli/command.h"

#include "common/base/version.h"

/* The release that /api/health tells as well. */
static int run(const struct arguments *arguments)
{
    if (arguments->count)
        return command_misused(arguments->command);
    puts("aragora " ARAGORA_VERSION);
    return EXIT_DONE;
}

static const struct option options[] = { { 0 } };

const struct command command_version = { "version", "", "print the version", options, run };
