#include "cli/certificate.h"

#include "common/base/settings.h"
#include "common/base/tls.h"

#include <stdio.h>
#include <stdlib.h>

static bool complain(enum setting setting, struct str problem)
{
    fprintf(stderr, "aragora: %s: " STR_FMT "\n", setting_row(setting)->name, STR_ARG(problem));
    return false;
}

static const char *absolute(struct arena *arena, enum setting setting)
{
    char *path = realpath(setting_cstr(setting), NULL);
    const char *out = path ? arena_cstr(arena, str_from(path)) : setting_cstr(setting);

    free(path);
    return out;
}

bool certificate_take(struct arena *arena, const char **certificate, const char **key)
{
    static const enum setting files[] = { SETTING_SSL_CERT, SETTING_SSL_KEY };
    SSL_CTX *context;
    struct str problem;

    *certificate = *key = NULL;
    for (size_t i = 0; i < COUNT(files); i++) {
        if (setting_flag(SETTING_SSL) && !setting_given(files[i]))
            return complain(files[i], STR("ARAGORA_SSL_ENABLED needs it"));
        if (!setting_flag(SETTING_SSL) && setting_given(files[i]))
            (void)complain(files[i], STR("has no effect without ARAGORA_SSL_ENABLED=true"));
    }
    if (!setting_flag(SETTING_SSL))
        return true;
    *certificate = absolute(arena, SETTING_SSL_CERT);
    *key = absolute(arena, SETTING_SSL_KEY);
    if (tls_server_open(&context, arena, *certificate, *key, &problem) != OK)
        return complain(SETTING_SSL, problem);
    struct str warning = tls_server_warning(context, arena);
    if (warning.at)
        (void)complain(SETTING_SSL_CERT, warning);
    SSL_CTX_free(context);
    return true;
}
