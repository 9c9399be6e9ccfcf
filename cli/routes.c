/* routes.c - aragora routes: the rows of the route tables, and who may use them. */
#include "cli/command.h"

#include "handlers/handler.h"

/* Does the path, a template itself or a concrete one, fall under the template? */
static bool path_matches(const char *template, const char *path)
{
    struct str left = str_from(template), right = str_from(path), part, segment;

    if (strcmp(template, path) == 0)
        return true;
    for (;;) {
        bool more = str_split(&part, &left, '/');

        if (more && str_ends(part, STR("*}")))
            return right.len > 0;
        if (more != str_split(&segment, &right, '/'))
            return false;
        if (!more)
            return true;
        if (str_starts(part, STR("{")) ? segment.len == 0 : !str_eq(part, segment))
            return false;
    }
}

static bool route_matches(const struct route *route, const char *path)
{
    if (!path || path_matches(route->path, path))
        return true;
    for (size_t i = 0; i < COUNT(route->alias) && route->alias[i]; i++)
        if (path_matches(route->alias[i], path))
            return true;
    return false;
}

static void print_route(const struct route *route)
{
    const char *who = route->permission  ? route->permission
                      : route->signed_in ? "signed-in"
                                         : "public";

    printf("%-6s %-36s %-24s %-20s %-12s %-7s %s:%d\n", method_names[route->method], route->path,
           route->id, who, route->stability == STABLE ? "stable" : "experimental",
           route_creates(route) ? "creates" : "-", route->file, route->line);
}

static int print_permissions(void)
{
    static const char *const keys[] = {
#define PERMISSION(key, roles) key,
#include "common/auth/permissions.def"
#undef PERMISSION
    };

    printf("%-40s", "permission");
    for (enum role role = ROLE_VIEWER; role < ROLE_COUNT; role++)
        printf(" %s", role_name(role));
    putchar('\n');
    for (size_t i = 0; i < COUNT(keys); i++) {
        unsigned roles = 0;

        (void)permission_roles(&roles, str_from(keys[i]));
        printf("%-40s", keys[i]);
        for (enum role role = ROLE_VIEWER; role < ROLE_COUNT; role++)
            printf(" %*s", (int)strlen(role_name(role)), (roles >> role) & 1 ? "x" : "-");
        putchar('\n');
    }
    return EXIT_DONE;
}

static int run(const struct arguments *arguments)
{
    const char *path = arguments->count ? arguments->at[0] : NULL;
    size_t shown = 0;

    if (arguments->count > 1)
        return command_misused(arguments->command);
    if (argument_option(arguments, OPTION_PERMISSIONS, 0))
        return path ? command_misused(arguments->command) : print_permissions();
    for (const struct route *const *table = route_tables; *table; table++) {
        for (const struct route *route = *table; route->path; route++) {
            if (!route_matches(route, path))
                continue;
            print_route(route);
            shown++;
        }
    }
    if (!shown)
        fprintf(stderr, "aragora: %s: no such route\n", path ? path : "routes");
    return shown ? EXIT_DONE : EXIT_FAILED;
}

static const struct option options[] = {
    { "--permissions", NULL, "every permission and the roles that hold it", OPTION_PERMISSIONS, 0 },
    { 0 },
};

const struct command command_routes = {
    "routes", "[PATH]", "list the routes with permission, file and line", options, run,
};
