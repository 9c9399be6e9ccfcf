/* buf.c - growing buffers and the JSON writer. */
#include "common/base/buf.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_free(struct buf *buf)
{
    free(buf->at);
    *buf = (struct buf){ 0 };
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
}

void buf_reserve(struct buf *buf, size_t more)
{
    size_t need, cap = buf->cap ? buf->cap : 256;

    if (__builtin_add_overflow(buf->len, more, &need))
        abort();
    if (need <= buf->cap)
        return;
    while (cap < need)
        if (__builtin_mul_overflow(cap, (size_t)2, &cap))
            abort();
    char *at = realloc(buf->at, cap);
    if (!at)
        abort();
    buf->at = at;
    buf->cap = cap;
}

void buf_add(struct buf *buf, const void *at, size_t len)
{
    if (len == 0)
        return;
    buf_reserve(buf, len);
    memcpy(buf->at + buf->len, at, len);
    buf->len += len;
}

void buf_str(struct buf *buf, struct str s)
{
    buf_add(buf, s.at, s.len);
}

void buf_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;

    buf_reserve(buf, 1);
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(buf->at + buf->len, buf->cap - buf->len, format, args);
    va_end(args);
    if (len < 0)
        abort();
    if ((size_t)len >= buf->cap - buf->len) {
        buf_reserve(buf, (size_t)len + 1);
        vsnprintf(buf->at + buf->len, (size_t)len + 1, format, again);
    }
    va_end(again);
    buf->len += (size_t)len;
}

struct str buf_view(const struct buf *buf)
{
    return (struct str){ buf->at ? buf->at : "", buf->len };
}

void buf_json_str(struct buf *buf, struct str text)
{
    static const char short_escapes[] = "btn\0fr"; /* 0x08..0x0d, 0x0b has none */
    size_t from = 0;

    buf_char(buf, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(buf, text.at + from, i - from);
        from = i + 1;
        if (c == '"' || c == '\\')
            buf_add(buf, (char[]){ '\\', (char)c }, 2);
        else if (c >= 0x08 && c <= 0x0d && c != 0x0b)
            buf_add(buf, (char[]){ '\\', short_escapes[c - 0x08] }, 2);
        else
            buf_printf(buf, "\\u%04x", c);
    }
    buf_add(buf, text.at + from, text.len - from);
    buf_char(buf, '"');
}

size_t int_text(char out[INT_TEXT], int64_t value)
{
    char text[INT_TEXT], *at = text + sizeof(text) - 1;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;

    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    size_t len = (size_t)(text + sizeof(text) - 1 - at);
    text[sizeof(text) - 1] = '\0';
    memcpy(out, at, len + 1);
    return len;
}

/* Of a value with few decimal places, as most are: value = whole / 10^6. A decimal of up to 15
 * digits is the only one of that length that reads as this double, so it is the shortest but for
 * its zeros; the division is exact but for its one rounding, as reading would be. */
static bool short_digits(char digits[24], size_t *count, int *point, double value)
{
    const double unit = 1e6, most = 1e15;
    char text[INT_TEXT];

    if (value >= most / unit || value < 1 / unit)
        return false;
    int64_t whole = (int64_t)(value * unit + 0.5);
    if ((double)whole / unit != value)
        return false;
    *count = int_text(text, whole);
    *point = (int)*count - 6;
    while (*count > 1 && text[*count - 1] == '0')
        --*count;
    memcpy(digits, text, *count);
    return true;
}

/* Digits and exponent of the shortest decimal that reads back: value = 0.DIGITS * 10^point. */
static size_t shortest_digits(char digits[24], int *point, double value)
{
    char text[40];
    size_t count = 0;

    if (short_digits(digits, &count, point, value))
        return count;
    /* Up to 15 digits survive a normal double, so trailing zeros show a shorter form; a
     * subnormal one has fewer. */
    for (int precision = value < DBL_MIN ? 1 : 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision - 1, value);
        if (strtod(text, NULL) == value)
            break;
    }
    const char *at = text;
    digits[count++] = *at++; /* never 0 of them */
    for (; *at != 'e'; at++)
        if (*at != '.')
            digits[count++] = *at;
    *point = (int)strtol(at + 1, NULL, 10) + 1;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return count;
}

static size_t exponent_text(char out[DOUBLE_TEXT], const char *digits, size_t count, int exponent)
{
    int len = snprintf(out, DOUBLE_TEXT, "%c%s%.*se%c%d", digits[0], count > 1 ? "." : "",
                       (int)count - 1, digits + 1, exponent < 0 ? '-' : '+', abs(exponent));
    return (size_t)len;
}

size_t double_text(char out[DOUBLE_TEXT], double value)
{
    char digits[24];
    int point;
    size_t len = 0;

    if (!isfinite(value))
        return (size_t)snprintf(out, DOUBLE_TEXT, "null");
    if (value == 0)
        return (size_t)snprintf(out, DOUBLE_TEXT, "0");
    if (value < 0) {
        out[len++] = '-';
        value = -value;
    }
    size_t count = shortest_digits(digits, &point, value);
    if (point > 21 || point < -5) {
        char text[DOUBLE_TEXT];
        size_t more = exponent_text(text, digits, count, point - 1);

        memcpy(out + len, text, more + 1);
        return len + more;
    }
    if (point <= 0) {
        out[len++] = '0';
        out[len++] = '.';
        for (int i = point; i < 0; i++)
            out[len++] = '0';
    }
    for (int i = 0; i < (int)count; i++) {
        if (i == point && point > 0)
            out[len++] = '.';
        out[len++] = digits[i];
    }
    for (int i = (int)count; i < point; i++)
        out[len++] = '0';
    out[len] = '\0';
    return len;
}

void buf_json_double(struct buf *buf, double value)
{
    char text[DOUBLE_TEXT];
    size_t len = double_text(text, value);

    buf_add(buf, text, len);
}

void buf_json_int(struct buf *buf, int64_t value)
{
    char text[INT_TEXT];
    size_t len = int_text(text, value);

    buf_add(buf, text, len);
}

void buf_json_comma(struct buf *buf)
{
    if (buf->len && !strchr("{[,:", buf->at[buf->len - 1]))
        buf_char(buf, ',');
}

void buf_json_key(struct buf *buf, struct str key)
{
    buf_json_comma(buf);
    buf_json_str(buf, key);
    buf_char(buf, ':');
}
