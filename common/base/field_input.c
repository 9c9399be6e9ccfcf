/* field_input.c - one value from outside into its member, or the reason why not (http.md 4.3). */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/field.h"

#include <math.h>
#include <stdlib.h>

static const struct {
    const char *regex; /* as shown to clients */
    size_t max;
    const char *more; /* allowed beside letters, digits, _ and - */
    bool letter_first;
} patterns[] = {
    [PATTERN_NONE] = { "", SIZE_MAX, "", false },
    [PATTERN_ID] = { "^[a-zA-Z0-9_-]{1,64}$", 64, "", false },
    [PATTERN_SLUG] = { "^[a-zA-Z0-9_-]{1,128}$", 128, "", false },
    [PATTERN_AGENT] = { "^[a-zA-Z0-9_-]{1,32}$", 32, "", false },
    [PATTERN_DOTTED] = { "^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$", 128, ".", true },
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool field_matches(enum field_pattern pattern, struct str text)
{
    if (pattern == PATTERN_NONE)
        return true;
    if (text.len == 0 || text.len > patterns[pattern].max)
        return false;
    if (patterns[pattern].letter_first && !is_word(text.at[0]))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_word(text.at[i]) && text.at[i] != '_' && text.at[i] != '-' &&
            !(text.at[i] && strchr(patterns[pattern].more, text.at[i])))
            return false;
    return true;
}

const char *field_pattern_text(enum field_pattern pattern)
{
    return patterns[pattern].regex;
}

/* Where a refusal is told. */
struct target {
    const struct field *field;
    struct arena *arena;
    struct field_fault *fault;
    int64_t item; /* -1: the field itself */
};

static struct str shown_name(const struct target *t)
{
    return t->item < 0 ? str_from(t->field->name)
                       : arena_printf(t->arena, "%s[%lld]", t->field->name, (long long)t->item);
}

static enum result refuse(const struct target *t, struct str what)
{
    *t->fault = (struct field_fault){
        .result = ERR_INVALID_FIELD,
        .field = shown_name(t),
        .message = arena_printf(t->arena, "Field '" STR_FMT "' " STR_FMT, STR_ARG(shown_name(t)),
                                STR_ARG(what)),
    };
    return ERR_INVALID_FIELD;
}

static enum result refuse_bound(const struct target *t, const char *which, double bound,
                                const char *unit)
{
    char number[DOUBLE_TEXT];

    double_text(number, bound);
    return refuse(t, arena_printf(t->arena, "must %s %s %s%s%s", *unit == 'i' ? "have" : "be",
                                  which, number, *unit ? " " : "", unit));
}

static enum result check_count(const struct target *t, int64_t count, const char *unit)
{
    if (count < t->field->min)
        return refuse_bound(t, "at least", (double)t->field->min, unit);
    if (t->field->max && count > t->field->max)
        return refuse_bound(t, "at most", (double)t->field->max, unit);
    return OK;
}

static enum result refuse_choice(const struct target *t)
{
    CLEANUP(buf_free) struct buf words = { 0 };

    for (const char *const *word = t->field->choices; *word; word++)
        buf_printf(&words, "%s%s", words.len ? ", " : "must be one of: ", *word);
    return refuse(t, arena_str(t->arena, buf_view(&words)));
}

static bool find_choice(unsigned *out, const struct field *field, struct str text)
{
    for (unsigned i = 0; field->choices[i]; i++) {
        if (str_is(text, field->choices[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

static enum result take_text(struct str *out, const struct target *t, struct str text)
{
    unsigned choice;

    if (!str_is_text(text))
        return refuse(t, STR("must be UTF-8 text without NUL"));
    if (t->field->trim)
        text = str_trim(text);
    TRY(check_count(t, (int64_t)str_characters(text), "characters"));
    if (t->field->choices && !find_choice(&choice, t->field, text))
        return refuse_choice(t);
    if (!field_matches(t->field->pattern, text))
        return refuse(t, STR("has invalid format"));
    *out = arena_str(t->arena, text);
    return OK;
}

static enum result take_int(int64_t *out, const struct target *t, int64_t value)
{
    const struct field *field = t->field;

    if (field->clamp) {
        if (field->max && value > field->max)
            value = field->max;
        if (value < field->min)
            value = field->min;
    }
    if (field->min || field->max)
        TRY(check_count(t, value, ""));
    *out = value;
    return OK;
}

static enum result take_double(double *out, const struct target *t, double value)
{
    const struct field *field = t->field;
    bool bounded = field->min_real != field->max_real;

    if (!isfinite(value))
        return refuse(t, STR("must be a number"));
    if (bounded && field->clamp)
        value = fmin(fmax(value, field->min_real), field->max_real);
    if (bounded && value < field->min_real)
        return refuse_bound(t, "at least", field->min_real, "");
    if (bounded && value > field->max_real)
        return refuse_bound(t, "at most", field->max_real, "");
    *out = value;
    return OK;
}

static enum result take_enum(unsigned *out, const struct target *t, struct str text)
{
    return find_choice(out, t->field, text) ? OK : refuse_choice(t);
}

static enum result take_time(struct utc *out, const struct target *t, struct str text)
{
    struct utc time;

    if (!utc_parse(&time, text))
        return refuse(t, STR("must be an ISO 8601 time"));
    *out = time;
    return OK;
}

/* "a, b" as a list; empty parts are dropped. */
static enum result take_comma_list(struct list *out, struct target *t, struct str text)
{
    size_t room = 1;
    struct list list = { 0 };
    struct str rest = text, part;

    for (size_t i = 0; i < text.len; i++)
        room += text.at[i] == ',';
    struct str *items = arena_array(t->arena, room, sizeof(*items));
    while (str_split(&part, &rest, ',')) {
        part = str_trim(part);
        if (part.len)
            items[list.count++] = arena_str(t->arena, part);
    }
    list.at = items;
    TRY(check_count(t, (int64_t)list.count, "items"));
    *out = list;
    return OK;
}

/* Digits that no int64_t holds are out of range like any other, not unreadable. */
static bool read_int(int64_t *out, const struct field *field, struct str text)
{
    struct str digits = text;

    if (str_int(out, text, INT64_MIN + 1, INT64_MAX))
        return true;
    if (!field->clamp || !field->max)
        return false;
    if (str_starts(digits, STR("-")) || str_starts(digits, STR("+")))
        digits = str_slice(digits, 1, digits.len);
    for (size_t i = 0; i < digits.len; i++)
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
    *out = str_starts(text, STR("-")) ? field->min : field->max;
    return digits.len > 0;
}

enum result field_from_text(void *object, const struct field *field, struct arena *arena,
                            struct str text, struct field_fault *fault)
{
    struct target t = { field, arena, fault, -1 };
    void *member = (char *)object + field->offset;
    int64_t integer;
    double real;
    bool flag;

    switch (field->type) {
    case FIELD_STR:
        return take_text(member, &t, text);
    case FIELD_INT:
        if (read_int(&integer, field, str_trim(text)))
            return take_int(member, &t, integer);
        return field->clamp ? OK : refuse(&t, STR("must be an integer"));
    case FIELD_DOUBLE:
        if (!str_double(&real, str_trim(text)))
            return field->clamp ? OK : refuse(&t, STR("must be a number"));
        return take_double(member, &t, real);
    case FIELD_BOOL:
        if (!str_bool(&flag, text))
            return field->clamp ? OK : refuse(&t, STR("must be a boolean"));
        *(bool *)member = flag;
        return OK;
    case FIELD_UTC:
        return take_time(member, &t, text);
    case FIELD_ENUM:
        return take_enum(member, &t, text);
    case FIELD_STRS:
        return take_comma_list(member, &t, text);
    case FIELD_JSON:
    case FIELD_BYTES:
    case FIELD_STRUCTS:
    case FIELD_OBJECT:
        break;
    }
    return refuse(&t, STR("cannot be given here"));
}

static enum result take_strs(struct list *out, struct target *t, struct json_object *value)
{
    size_t count = json_object_array_length(value);
    struct str *items = arena_array(t->arena, count, sizeof(*items));

    TRY(check_count(t, (int64_t)count, "items"));
    for (size_t i = 0; i < count; i++) {
        struct json_object *item = json_object_array_get_idx(value, i);

        t->item = (int64_t)i;
        if (!json_object_is_type(item, json_type_string))
            return refuse(t, STR("must be of type string"));
        if (!str_is_text(json_str(item)))
            return refuse(t, STR("must be UTF-8 text without NUL"));
        items[i] = arena_str(t->arena, json_str(item));
    }
    *out = (struct list){ items, count };
    return OK;
}

static enum result take_json(struct json_text *out, struct target *t, struct json_object *value)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    enum json_type type = json_object_get_type(value);

    if (t->field->kind == JSON_OBJECT && type != json_type_object)
        return refuse(t, STR("must be an object"));
    if ((t->field->kind == JSON_ARRAY && type != json_type_array) ||
        (t->field->kind == JSON_ARRAY_OR_TEXT && type != json_type_array &&
         type != json_type_string))
        return refuse(t, STR("must be a list"));
    if (type == json_type_array)
        TRY(check_count(t, (int64_t)json_object_array_length(value), "items"));
    json_write(&text, value);
    out->text = arena_str(t->arena, buf_view(&text));
    return OK;
}

/* 4.0 is an integer as 4 is (JSON Schema 2020-12, validation 6.1.1), as far as doubles are exact.
 */
static bool json_int(int64_t *out, struct json_object *value)
{
    const double exact = 9007199254740992; /* 2^53 */
    double real = json_object_get_double(value);

    if (json_object_is_type(value, json_type_int)) {
        *out = json_object_get_int64(value);
        return true;
    }
    if (!json_object_is_type(value, json_type_double) || real != trunc(real) || fabs(real) > exact)
        return false;
    *out = (int64_t)real;
    return true;
}

enum result field_from_json(void *object, const struct field *field, struct arena *arena,
                            struct json_object *value, struct field_fault *fault)
{
    struct target t = { field, arena, fault, -1 };
    void *member = (char *)object + field->offset;
    enum json_type type = json_object_get_type(value);
    bool is_number = type == json_type_int || type == json_type_double;
    int64_t integer;

    switch (field->type) {
    case FIELD_STR:
        if (type != json_type_string)
            return refuse(&t, STR("must be a string"));
        return take_text(member, &t, json_str(value));
    case FIELD_INT:
        if (!json_int(&integer, value))
            return refuse(&t, STR("must be an integer"));
        return take_int(member, &t, integer);
    case FIELD_DOUBLE:
        if (!is_number)
            return refuse(&t, STR("must be a number"));
        return take_double(member, &t, json_object_get_double(value));
    case FIELD_BOOL:
        if (type != json_type_boolean)
            return refuse(&t, STR("must be a boolean"));
        *(bool *)member = json_object_get_boolean(value);
        return OK;
    case FIELD_UTC:
        if (type != json_type_string)
            return refuse(&t, STR("must be a string"));
        return take_time(member, &t, json_str(value));
    case FIELD_ENUM:
        if (type != json_type_string)
            return refuse(&t, STR("must be a string"));
        return take_enum(member, &t, json_str(value));
    case FIELD_STRS:
        if (type == json_type_string)
            return take_comma_list(member, &t, json_str(value));
        if (type != json_type_array)
            return refuse(&t, STR("must be a list"));
        return take_strs(member, &t, value);
    case FIELD_JSON:
        return take_json(member, &t, value);
    case FIELD_BYTES:
    case FIELD_STRUCTS:
    case FIELD_OBJECT:
        break;
    }
    return refuse(&t, STR("cannot be given here"));
}

static void set_absent(void *member, enum field_type type)
{
    switch (type) {
    case FIELD_INT:
        *(int64_t *)member = INT_NONE;
        break;
    case FIELD_DOUBLE:
        *(double *)member = NAN;
        break;
    case FIELD_STR:
    case FIELD_JSON:
        *(struct str *)member = STR_NONE;
        break;
    case FIELD_UTC:
        *(struct utc *)member = (struct utc){ 0 };
        break;
    case FIELD_BOOL:
        *(bool *)member = false;
        break;
    case FIELD_ENUM:
        *(unsigned *)member = 0;
        break;
    case FIELD_STRUCTS:
    case FIELD_STRS:
        *(struct list *)member = (struct list){ 0 };
        break;
    case FIELD_BYTES:
        *(struct bytes *)member = (struct bytes){ 0 };
        break;
    case FIELD_OBJECT:
        break;
    }
}

void fields_default(void *object, const struct field *fields, struct arena *arena)
{
    struct field_fault fault;

    for (const struct field *field = fields; field->name; field++) {
        set_absent((char *)object + field->offset, field->type);
        if (field->fallback &&
            field_from_text(object, field, arena, str_from(field->fallback), &fault) != OK)
            abort(); /* a table's own fallback breaks its rules: a test runs over all rows */
    }
}
