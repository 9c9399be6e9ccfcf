#include "common/trace/context.h"

#include "common/base/crypto.h"

#define STATE_MEMBERS 32
#define STATE_BYTES   512
#define STATE_KEY     256
#define STATE_VALUE   256

static bool lower_hex(struct str text, size_t len)
{
    for (size_t i = 0; i < text.len; i++)
        if (!text.at[i] || !strchr("0123456789abcdef", text.at[i]))
            return false;
    return text.len == len;
}

static bool is_zero(const unsigned char *at, size_t len)
{
    while (len && !at[len - 1])
        len--;
    return len == 0;
}

bool traceparent_read(struct trace_context *out, struct str text)
{
    struct str rest = text, version, trace, span, flags;
    struct trace_context read = { 0 };
    unsigned char bits;

    if (!str_split(&version, &rest, '-') || !str_split(&trace, &rest, '-') ||
        !str_split(&span, &rest, '-') || !str_split(&flags, &rest, '-'))
        return false;
    if (!lower_hex(version, 2) || str_is(version, "ff") ||
        (str_is(version, "00") && text.len != TRACEPARENT_TEXT) ||
        !lower_hex(trace, TRACE_ID_HEX) || !lower_hex(span, SPAN_ID_HEX) || !lower_hex(flags, 2))
        return false;
    if (!hex_bytes(read.trace, TRACE_ID_BYTES, trace) ||
        !hex_bytes(read.span, SPAN_ID_BYTES, span) || !hex_bytes(&bits, 1, flags) ||
        is_zero(read.trace, TRACE_ID_BYTES) || is_zero(read.span, SPAN_ID_BYTES))
        return false;
    read.sampled = bits & 1;
    *out = read;
    return true;
}

void traceparent_write(char out[TRACEPARENT_TEXT], const struct trace_context *context)
{
    out[0] = out[1] = '0';
    out[2] = '-';
    hex_text(out + 3, context->trace, TRACE_ID_BYTES);
    out[35] = '-';
    hex_text(out + 36, context->span, SPAN_ID_BYTES);
    out[52] = '-';
    out[53] = '0';
    out[54] = context->sampled ? '1' : '0';
}

static bool is_small(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool key_is_fit(struct str key)
{
    for (size_t i = 0; i < key.len; i++)
        if (!is_small(key.at[i]) && (i == 0 || !key.at[i] || !strchr("_-*/@", key.at[i])))
            return false;
    return key.len >= 1 && key.len <= STATE_KEY;
}

static bool value_is_fit(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] < ' ' || value.at[i] > '~' || value.at[i] == '=')
            return false;
    return value.len >= 1 && value.len <= STATE_VALUE;
}

bool tracestate_is_fit(struct str text)
{
    struct str rest = text, member, key;
    int members = 0;

    while (str_split(&member, &rest, ',')) {
        member = str_trim(member);
        if (!member.len) /* allowed, and says nothing */
            continue;
        if (++members > STATE_MEMBERS || !str_split(&key, &member, '=') || !key_is_fit(key) ||
            !member.at || !value_is_fit(member))
            return false;
    }
    return members > 0 && text.len <= STATE_BYTES;
}

/* Hexadecimal of at most size bytes, filled with zeros in front; false: it is none, or zero. */
static bool padded(unsigned char *out, size_t size, struct str text)
{
    char digits[TRACE_ID_HEX];
    const size_t room = 2 * size;

    if (!text.len || text.len > room)
        return false;
    memset(digits, '0', room - text.len);
    memcpy(digits + room - text.len, text.at, text.len);
    return hex_bytes(out, size, (struct str){ digits, room }) && !is_zero(out, size);
}

void trace_id_read(unsigned char out[TRACE_ID_BYTES], struct str text)
{
    unsigned char digest[SHA256_BYTES];

    if (padded(out, TRACE_ID_BYTES, text))
        return;
    sha256(digest, text.at, text.len);
    memcpy(out, digest, TRACE_ID_BYTES);
}

bool span_id_read(unsigned char out[SPAN_ID_BYTES], struct str text)
{
    unsigned char read[SPAN_ID_BYTES];

    if (!padded(read, SPAN_ID_BYTES, text))
        return false;
    memcpy(out, read, SPAN_ID_BYTES);
    return true;
}
