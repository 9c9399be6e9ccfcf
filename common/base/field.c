/* field.c - the output half of field tables; field_input.c has the checks. */
#include "common/base/field.h"

#include "common/base/buf.h"
#include "common/base/clock.h"

#include <math.h>

size_t fields_count(const struct field *fields)
{
    size_t count = 0;

    while (fields && fields[count].name)
        count++;
    return count;
}

static bool is_absent(const void *member, enum field_type type)
{
    switch (type) {
    case FIELD_STR:
    case FIELD_JSON:
        return !((const struct str *)member)->at;
    case FIELD_INT:
        return *(const int64_t *)member == INT_NONE;
    case FIELD_DOUBLE:
        return isnan(*(const double *)member);
    case FIELD_UTC:
        return ((const struct utc *)member)->us == 0;
    case FIELD_STRUCTS:
    case FIELD_STRS:
        return !((const struct list *)member)->at;
    case FIELD_BYTES:
        return !((const struct bytes *)member)->at;
    case FIELD_BOOL:
    case FIELD_ENUM:
    case FIELD_OBJECT:
        return false;
    }
    return false;
}

static void write_absent(struct buf *out, const struct field *field)
{
    if (field->absent == ABSENT_NULL) {
        buf_str(out, STR("null"));
        return;
    }
    switch (field->type) {
    case FIELD_INT:
    case FIELD_DOUBLE:
        buf_char(out, '0');
        break;
    case FIELD_STRUCTS:
    case FIELD_STRS:
        buf_str(out, STR("[]"));
        break;
    case FIELD_JSON:
        buf_str(out, field->kind == JSON_ARRAY ? STR("[]") : STR("{}"));
        break;
    case FIELD_UTC:
        buf_str(out, field->form == FORM_EPOCH ? STR("0") : STR("\"\""));
        break;
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_BOOL:
    case FIELD_ENUM:
    case FIELD_OBJECT:
        buf_str(out, STR("\"\""));
        break;
    }
}

static void write_time(struct buf *out, enum field_form form, struct utc time)
{
    char text[UTC_TEXT];

    if (form == FORM_EPOCH) {
        buf_json_epoch(out, time);
        return;
    }
    buf_char(out, '"');
    buf_add(out, text, form == FORM_ISO_Z ? utc_text_z(text, time) : utc_text(text, time));
    buf_char(out, '"');
}

static void write_list(struct buf *out, const struct list *list, const struct field *field)
{
    buf_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_char(out, ',');
        if (field->type == FIELD_STRS)
            buf_json_str(out, ((const struct str *)list->at)[i]);
        else
            fields_write(out, (const char *)list->at + i * field->item_size, field->fields);
    }
    buf_char(out, ']');
}

static void write_value(struct buf *out, const void *member, const struct field *field)
{
    switch (field->type) {
    case FIELD_STR:
        buf_json_str(out, *(const struct str *)member);
        break;
    case FIELD_INT:
        buf_json_int(out, *(const int64_t *)member);
        break;
    case FIELD_BOOL:
        buf_str(out, *(const bool *)member ? STR("true") : STR("false"));
        break;
    case FIELD_DOUBLE:
        buf_json_double(out, *(const double *)member);
        break;
    case FIELD_UTC:
        write_time(out, field->form, *(const struct utc *)member);
        break;
    case FIELD_ENUM:
        buf_json_str(out, str_from(field->choices[*(const unsigned *)member]));
        break;
    case FIELD_JSON:
        buf_str(out, ((const struct json_text *)member)->text);
        break;
    case FIELD_STRUCTS:
    case FIELD_STRS:
        write_list(out, member, field);
        break;
    case FIELD_OBJECT:
        fields_write(out, member, field->fields);
        break;
    case FIELD_BYTES:
        buf_str(out, STR("null")); /* no wire form; the database binds it itself */
        break;
    }
}

void fields_write_members(struct buf *out, const void *object, const struct field *fields)
{
    for (const struct field *field = fields; field->name; field++) {
        const void *member = (const char *)object + field->offset;
        bool absent = is_absent(member, field->type);

        if (absent && field->absent == ABSENT_OMITTED)
            continue;
        buf_json_key(out, str_from(field->name));
        if (absent)
            write_absent(out, field);
        else
            write_value(out, member, field);
    }
}

void fields_write(struct buf *out, const void *object, const struct field *fields)
{
    buf_char(out, '{');
    fields_write_members(out, object, fields);
    buf_char(out, '}');
}
