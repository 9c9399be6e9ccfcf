/* routes.c - aragora routes, version and config: what the tables of the program say. */
#include "cli/command.h"

#include "common/base/settings.h"
#include "handlers/handler.h"

#include <stdio.h>

int command_routes(const struct arguments *arguments)
{
    static const char *const methods[METHOD_COUNT] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
    const char *wanted = arguments->count ? arguments->at[0] : NULL;
    int shown = 0;

    for (const struct route *const *table = route_tables; *table; table++) {
        for (const struct route *route = *table; route->path; route++) {
            if (wanted && strcmp(route->path, wanted) != 0)
                continue;
            printf("%-6s %-36s %-22s %-20s %s:%d\n", methods[route->method], route->path,
                   route->id, route->permission ? route->permission : "public", route->file,
                   route->line);
            shown++;
        }
    }
    return shown ? EXIT_DONE : EXIT_FAILED;
}

int command_version(const struct arguments *arguments)
{
    if (arguments->count)
        return EXIT_USAGE;
    puts("aragora 0.1.0");
    return EXIT_DONE;
}

int command_config(const struct arguments *arguments)
{
    static const char *const origins[] = { "default", "file", "environment", "flag" };

    if (arguments->count)
        return EXIT_USAGE;
    for (enum setting i = 0; i < SETTING_COUNT; i++) {
        const struct setting_row *row = setting_row(i);
        bool secret = row->type == SETTING_SECRET && setting_str(i).at;

        printf("%s=%s\t%s\t%s\n", row->name, secret ? "(set)" : setting_cstr(i),
               setting_str(i).at ? origins[setting_origin(i)] : "unset", row->doc);
    }
    return EXIT_DONE;
}
