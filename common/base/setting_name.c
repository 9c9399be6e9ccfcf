#include "common/base/setting_name.h"

#include "common/base/log.h"

static const struct {
    enum setting setting;
    const char *name;
} other_names[] = {
#define OTHER_NAME(id, name) { SETTING_##id, name },
#define IDLE(name, why)
#define UNSAFE(name, why)
#include "common/base/names.def"
#undef OTHER_NAME
#undef IDLE
#undef UNSAFE
};

static const struct stranger {
    const char *name, *why;
    bool unsafe;
} strangers[] = {
#define OTHER_NAME(id, name)
#define IDLE(name, why)   { name, why, false },
#define UNSAFE(name, why) { name, why, true },
#include "common/base/names.def"
#undef OTHER_NAME
#undef IDLE
#undef UNSAFE
};

const char *setting_other_name(enum setting setting, size_t n)
{
    for (size_t i = 0; i < COUNT(other_names); i++)
        if (other_names[i].setting == setting && n-- == 0)
            return other_names[i].name;
    return NULL;
}

bool setting_by_other_name(enum setting *out, struct str name)
{
    for (size_t i = 0; i < COUNT(other_names); i++) {
        if (str_is(name, other_names[i].name)) {
            *out = other_names[i].setting;
            return true;
        }
    }
    return false;
}

const char *setting_stranger(struct str name, struct str value, bool meant)
{
    bool set = false;

    for (size_t i = 0; i < COUNT(strangers); i++) {
        const struct stranger *stranger = &strangers[i];

        if (!str_is(name, stranger->name))
            continue;
        if (!value.len || (stranger->unsafe && str_bool(&set, value) && !set))
            return NULL;
        log_event(LOG_WARNING, "setting without effect", "name", stranger->name, "because",
                  stranger->why);
        return stranger->unsafe ? stranger->name : NULL;
    }
    if (meant || str_starts(name, STR("ARAGORA_")))
        log_event(LOG_WARNING, "unknown_setting", "name", log_str(name));
    return NULL;
}
