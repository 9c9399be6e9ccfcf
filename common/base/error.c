#include "common/base/error.h"

#include "common/base/log.h"

static const struct error_row rows[RESULT_COUNT] = {
    [OK] = { "OK", 200, "OK", "ok", LOG_DEBUG, "OK" },
    [DONE] = { "DONE", 200, "OK", "ok", LOG_DEBUG, "OK" },
#define ERROR(name, status, code, code_v2, level, message)                                         \
    [ERR_##name] = { #name, status, code, code_v2, level, message },
#include "common/base/errors.def"
#undef ERROR
};

const struct error_row *error_row(enum result result)
{
    if (result < 0 || result >= RESULT_COUNT)
        return &rows[ERR_INTERNAL];
    return &rows[result];
}
