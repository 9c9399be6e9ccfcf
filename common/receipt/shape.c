#include "common/receipt/shape.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"

#include <math.h>

struct place { /* where a value stands, innermost first */
    const struct place *outer;
    const char *name; /* NULL: an item of an array */
    size_t item;
};

struct check {
    struct arena *arena;
    struct str fault;
    bool later;
};

static const char *const wanted[] = {
    [SHAPE_STRING] = "a text",
    [SHAPE_TEXT] = "a text that is not empty",
    [SHAPE_DIGEST] = "a SHA-256 digest in lower-case hexadecimal",
    [SHAPE_TIME] = "a time",
    [SHAPE_WORD] = "one of the words of the form",
    [SHAPE_FLAG] = "true or false",
    [SHAPE_INTEGER] = "an integer",
    [SHAPE_COUNT] = "an integer from 0 on",
    [SHAPE_NUMBER] = "a number",
    [SHAPE_UNIT] = "a number from 0 to 1",
    [SHAPE_STRINGS] = "an array of texts",
    [SHAPE_LIST] = "an array of objects",
    [SHAPE_OBJECT] = "an object",
    [SHAPE_OPEN] = "an object",
    [SHAPE_BLOCK] = "a present block or an absent marker",
    [SHAPE_TEXT_OR_ABSENT] = "a text that is not empty or an absent marker",
};

static void write_place(struct buf *out, const struct place *place)
{
    if (!place)
        return;
    write_place(out, place->outer);
    if (place->name)
        buf_printf(out, "%s%s", out->len ? "." : "", place->name);
    else
        buf_printf(out, "[%zu]", place->item);
}

static bool refuse(struct check *check, const struct place *place, const char *format,
                   const char *word)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    write_place(&text, place);
    buf_str(&text, text.len ? STR(": ") : STR("the whole: "));
    buf_printf(&text, format, word);
    check->fault = arena_str(check->arena, buf_view(&text));
    return false;
}

bool is_lower_hex(struct str text, size_t digits)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.at[i] >= '0' && text.at[i] <= '9') || (text.at[i] >= 'a' && text.at[i] <= 'f')))
            return false;
    return text.len == digits;
}

static bool is_word(struct str text, const char *const *words)
{
    for (; text.at && *words; words++)
        if (str_is(text, *words))
            return true;
    return false;
}

static bool is_strings(struct json_object *array)
{
    if (!json_object_is_type(array, json_type_array))
        return false;
    for (size_t i = 0; i < json_object_array_length(array); i++)
        if (!json_object_is_type(json_object_array_get_idx(array, i), json_type_string))
            return false;
    return true;
}

/* Of a kind without members. */
static bool plain_fits(struct json_object *value, const struct shape *shape)
{
    enum json_type type = json_object_get_type(value);
    bool is_number = type == json_type_int || type == json_type_double;
    double number = is_number ? json_object_get_double(value) : (double)NAN;
    struct utc time;

    switch (shape->kind) {
    case SHAPE_STRING:
        return type == json_type_string;
    case SHAPE_TEXT:
    case SHAPE_TEXT_OR_ABSENT:
        return json_str(value).len > 0;
    case SHAPE_DIGEST:
        return is_lower_hex(json_str(value), SHA256_HEX);
    case SHAPE_TIME:
        return type == json_type_string && utc_parse(&time, json_str(value));
    case SHAPE_WORD:
        return is_word(json_str(value), shape->words);
    case SHAPE_FLAG:
        return type == json_type_boolean;
    case SHAPE_INTEGER:
        return is_number && number == floor(number);
    case SHAPE_COUNT:
        return is_number && number == floor(number) && number >= 0;
    case SHAPE_NUMBER:
        return is_number;
    case SHAPE_UNIT:
        return number >= 0 && number <= 1;
    case SHAPE_STRINGS:
        return is_strings(value);
    case SHAPE_LIST:
    case SHAPE_OBJECT:
    case SHAPE_OPEN:
    case SHAPE_BLOCK:
        break;
    }
    return false;
}

static bool members_fit(struct check *check, struct json_object *object,
                        const struct shape *members, bool open, const struct place *place);

static bool is_absent_marker(struct json_object *value)
{
    struct str status, reason;

    return json_object_is_type(value, json_type_object) && json_object_object_length(value) == 2 &&
           json_get_str(&status, value, "status") && str_is(status, "absent") &&
           json_get_str(&reason, value, "reason") && reason.len > 0;
}

static bool list_fits(struct check *check, struct json_object *array, const struct shape *shape,
                      const struct place *place)
{
    if (!json_object_is_type(array, json_type_array))
        return refuse(check, place, "must be %s", wanted[SHAPE_LIST]);
    if (shape->filled && !json_object_array_length(array))
        return refuse(check, place, "must not be %s", "empty");
    for (size_t i = 0; i < json_object_array_length(array); i++)
        if (!members_fit(check, json_object_array_get_idx(array, i), shape->inner, false,
                         &(struct place){ .outer = place, .item = i }))
            return false;
    return true;
}

static bool value_fits(struct check *check, struct json_object *value, const struct shape *shape,
                       const struct place *place)
{
    bool marker = shape->kind == SHAPE_BLOCK || shape->kind == SHAPE_TEXT_OR_ABSENT;

    if ((shape->nullable && !value) || (marker && is_absent_marker(value)))
        return true;
    if (shape->kind == SHAPE_LIST)
        return list_fits(check, value, shape, place);
    if (shape->kind == SHAPE_OBJECT || shape->kind == SHAPE_OPEN)
        return members_fit(check, value, shape->inner, shape->kind == SHAPE_OPEN, place);
    if (shape->kind == SHAPE_BLOCK && json_object_is_type(value, json_type_object))
        return members_fit(check, value, shape->inner, false, place);
    return plain_fits(value, shape) || refuse(check, place, "must be %s", wanted[shape->kind]);
}

static bool is_known(const char *name, const struct shape *members)
{
    for (; members->name; members++)
        if (strcmp(members->name, name) == 0)
            return true;
    return false;
}

static bool knows_all(struct check *check, struct json_object *object, const struct shape *members,
                      const struct place *place)
{
    json_object_object_foreach(object, name, value)
    {
        (void)value;
        if (!is_known(name, members))
            return refuse(check, &(struct place){ .outer = place, .name = name }, "is %s",
                          "an unknown member");
    }
    return true;
}

/* members NULL: any. */
static bool members_fit(struct check *check, struct json_object *object,
                        const struct shape *members, bool open, const struct place *place)
{
    struct json_object *value;

    if (!json_object_is_type(object, json_type_object))
        return refuse(check, place, "must be %s", wanted[SHAPE_OBJECT]);
    if (!members)
        return true;
    for (const struct shape *member = members; member->name; member++) {
        const struct place inside = { .outer = place, .name = member->name };
        bool known = check->later || !member->later;

        if (json_object_object_get_ex(object, member->name, &value)) {
            if (!known)
                return refuse(check, &inside, "is not in %s", "this version");
            if (!value_fits(check, value, member, &inside))
                return false;
        } else if (known && !member->optional) {
            return refuse(check, &inside, "is %s", "missing");
        }
    }
    return open || knows_all(check, object, members, place);
}

bool shape_fits(struct str *fault, struct arena *arena, struct json_object *object,
                const struct shape *members, bool later)
{
    struct check check = { .arena = arena, .later = later };
    bool fits = members_fit(&check, object, members, false, NULL);

    if (!fits && fault)
        *fault = check.fault;
    return fits;
}

void shape_strip_later(struct json_object *object, const struct shape *members)
{
    struct json_object *value;

    for (; members && members->name; members++) {
        if (!json_object_object_get_ex(object, members->name, &value))
            continue;
        if (members->later)
            json_object_object_del(object, members->name);
        else if (json_object_is_type(value, json_type_object))
            shape_strip_later(value, members->inner);
        else if (members->kind == SHAPE_LIST)
            for (size_t i = 0; i < json_object_array_length(value); i++)
                shape_strip_later(json_object_array_get_idx(value, i), members->inner);
    }
}
