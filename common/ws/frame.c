/* frame.c - the encoder and the incremental parser of WebSocket frames.
 *
 * The parser collects the head of a frame byte by byte, since it may be cut anywhere, and judges
 * it as soon as enough is there: a peer that announces too much is refused before it sends it.
 * The payload goes straight to the joined message and is unmasked in place; control frames have
 * a place of their own, because they may stand between the fragments of a message (5.4).
 *
 * Elsewhere: the upgrade (handshake.c); when to ping, answer and close (the programs). */
#include "common/ws/frame.h"

#include "common/base/crypto.h"

#include <assert.h>

#define FIN         0x80
#define RSV         0x70
#define OPCODE      0x0f
#define MASKED      0x80
#define LENGTH      0x7f
#define LENGTH_16   126
#define LENGTH_64   127
#define CONTROL_BIT 0x8 /* opcodes from 8 on are control frames (5.2) */
#define MASK_BYTES  4

/* Thousands of connections are idle at a time; none of them keeps the memory of a big message. */
#define IDLE_BYTES 4096

static bool is_control(enum ws_opcode opcode)
{
    return opcode & CONTROL_BIT;
}

static void mask_apply(char *at, size_t len, const unsigned char mask[MASK_BYTES], size_t offset)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (char)((unsigned char)at[i] ^ mask[(offset + i) % MASK_BYTES]);
}

static void length_add(struct buf *out, size_t len, unsigned char mask_bit)
{
    unsigned char bytes[9];
    size_t count;

    if (len < LENGTH_16) {
        bytes[0] = (unsigned char)len;
        count = 1;
    } else if (len <= UINT16_MAX) {
        bytes[0] = LENGTH_16;
        count = 3;
    } else {
        bytes[0] = LENGTH_64;
        count = 9;
    }
    for (size_t i = 1; i < count; i++)
        bytes[i] = (unsigned char)((uint64_t)len >> (8 * (count - 1 - i)));
    bytes[0] |= mask_bit;
    buf_add(out, bytes, count);
}

static void frame_add(struct buf *out, enum ws_role role, enum ws_opcode opcode, struct str payload)
{
    unsigned char mask[MASK_BYTES];

    buf_reserve(out, payload.len + WS_HEAD_MAX);
    buf_char(out, (char)(FIN | opcode));
    length_add(out, payload.len, role == WS_CLIENT ? MASKED : 0);
    if (role == WS_CLIENT) {
        random_bytes(mask, sizeof(mask)); /* unpredictable, against poisoned proxies (10.3) */
        buf_add(out, mask, sizeof(mask));
    }
    buf_str(out, payload);
    if (role == WS_CLIENT)
        mask_apply(out->at + out->len - payload.len, payload.len, mask, 0);
}

void ws_frame_text(struct buf *out, enum ws_role role, struct str text)
{
    frame_add(out, role, WS_TEXT, text);
}

void ws_frame_binary(struct buf *out, enum ws_role role, struct str data)
{
    frame_add(out, role, WS_BINARY, data);
}

void ws_frame_control(struct buf *out, enum ws_role role, enum ws_opcode opcode, struct str payload)
{
    assert(opcode == WS_PING || opcode == WS_PONG);
    assert(payload.len <= WS_CONTROL_MAX);
    frame_add(out, role, opcode, payload);
}

bool ws_close_code_legal(int64_t code)
{
    /* 1004 to 1006 and 1015 are reserved; 1012 to 1014 came with the registry. */
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

/* The longest start that is at most max bytes and ends between characters. */
static struct str reason_cut(struct str reason, size_t max)
{
    if (reason.len <= max)
        return reason;
    while (max && ((unsigned char)reason.at[max] & 0xc0) == 0x80)
        max--;
    return str_slice(reason, 0, max);
}

void ws_frame_close(struct buf *out, enum ws_role role, int64_t code, struct str reason)
{
    char payload[WS_CONTROL_MAX];

    if (code == WS_NO_CODE) {
        frame_add(out, role, WS_CLOSE, STR(""));
        return;
    }
    assert(ws_close_code_legal(code));
    reason = reason_cut(reason, WS_REASON_MAX);
    payload[0] = (char)(code >> 8);
    payload[1] = (char)(code & 0xff);
    if (reason.len)
        memcpy(payload + 2, reason.at, reason.len);
    frame_add(out, role, WS_CLOSE, (struct str){ payload, reason.len + 2 });
}

/* The first byte of a sequence decides its length and, against overlong forms, surrogates and
 * what is above U+10FFFF, the range of the second (RFC 3629 4). */
static bool utf8_start(struct ws_utf8 *utf8, unsigned char byte)
{
    *utf8 = (struct ws_utf8){ .low = 0x80, .high = 0xbf };
    if (byte < 0x80)
        return true;
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    utf8->need = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    if (byte == 0xe0)
        utf8->low = 0xa0;
    else if (byte == 0xed)
        utf8->high = 0x9f;
    else if (byte == 0xf0)
        utf8->low = 0x90;
    else if (byte == 0xf4)
        utf8->high = 0x8f;
    return true;
}

/* Goes on from where the earlier fragment stopped. NUL is text here, unlike in str_is_text(). */
static bool utf8_take(struct ws_utf8 *utf8, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.at[i];

        if (utf8->need == 0) {
            if (!utf8_start(utf8, byte))
                return false;
            continue;
        }
        if (byte < utf8->low || byte > utf8->high)
            return false;
        *utf8 = (struct ws_utf8){ (unsigned char)(utf8->need - 1), 0x80, 0xbf };
    }
    return true;
}

void ws_parser_start(struct ws_parser *parser, enum ws_role role, size_t message_max)
{
    *parser = (struct ws_parser){ .role = role, .message_max = message_max, .head_need = 2 };
}

void ws_parser_free(struct ws_parser *parser)
{
    buf_free(&parser->message);
}

/* Always false, so that a check can end with it. */
static bool violate(struct ws_parser *parser, enum ws_close_code code, const char *reason)
{
    parser->violation = (struct ws_violation){ code, reason };
    return false;
}

/* What RFC 6455 5.2 and 5.4 say of the opcode at this place of the stream. */
static bool opcode_check(struct ws_parser *parser)
{
    bool open = parser->message_opcode != WS_CONTINUATION;

    switch (parser->opcode) {
    case WS_CONTINUATION:
        return open || violate(parser, WS_PROTOCOL_ERROR, "Continuation without a message");
    case WS_TEXT:
    case WS_BINARY:
        return !open || violate(parser, WS_PROTOCOL_ERROR, "New message inside a fragmented one");
    case WS_CLOSE:
    case WS_PING:
    case WS_PONG:
        return parser->fin || violate(parser, WS_PROTOCOL_ERROR, "Fragmented control frame");
    }
    return violate(parser, WS_PROTOCOL_ERROR, "Unknown opcode");
}

/* Judges the first two bytes and says how long the head is. */
static bool head_start(struct ws_parser *parser)
{
    unsigned char length = parser->head[1] & LENGTH;
    bool masked = parser->head[1] & MASKED;

    parser->fin = parser->head[0] & FIN;
    parser->opcode = parser->head[0] & OPCODE;
    if (parser->head[0] & RSV)
        return violate(parser, WS_PROTOCOL_ERROR, "Reserved bits set");
    if (!opcode_check(parser))
        return false;
    if (is_control(parser->opcode) && length > WS_CONTROL_MAX)
        return violate(parser, WS_PROTOCOL_ERROR, "Control frame too long");
    if (masked && parser->role == WS_CLIENT)
        return violate(parser, WS_PROTOCOL_ERROR, "Masked frame from the server");
    if (!masked && parser->role == WS_SERVER)
        return violate(parser, WS_PROTOCOL_ERROR, "Unmasked frame from the client");
    parser->head_need = 2 + (masked ? MASK_BYTES : 0);
    parser->head_need += length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
    return true;
}

/* Reads the length, which must have its shortest form (5.2), and opens the payload. */
static bool head_end(struct ws_parser *parser)
{
    unsigned char form = parser->head[1] & LENGTH;
    size_t bytes = form == LENGTH_64 ? 8 : form == LENGTH_16 ? 2 : 0;
    uint64_t length = bytes ? 0 : form;

    for (size_t i = 0; i < bytes; i++)
        length = length << 8 | parser->head[2 + i];
    if (length > INT64_MAX)
        return violate(parser, WS_PROTOCOL_ERROR, "Length with the highest bit set");
    if ((form == LENGTH_16 && length < LENGTH_16) || (form == LENGTH_64 && length <= UINT16_MAX))
        return violate(parser, WS_PROTOCOL_ERROR, "Length not in its shortest form");
    if (!is_control(parser->opcode) && length > parser->message_max - parser->message.len)
        return violate(parser, WS_TOO_LARGE, "Message too large");
    if (parser->opcode == WS_TEXT || parser->opcode == WS_BINARY) {
        parser->message_opcode = parser->opcode;
        parser->utf8 = (struct ws_utf8){ 0 };
    }
    parser->payload_len = (size_t)length; /* bounded by message_max or WS_CONTROL_MAX */
    parser->payload_done = 0;
    parser->in_payload = true;
    return true;
}

/* False: the input is used up, or a violation. */
static bool head_take(struct ws_parser *parser, struct str *input)
{
    while (parser->head_len < parser->head_need) {
        if (input->len == 0)
            return false;
        parser->head[parser->head_len++] = (unsigned char)input->at[0];
        *input = str_slice(*input, 1, input->len);
        if (parser->head_len == 2 && !head_start(parser))
            return false;
    }
    return head_end(parser);
}

/* False: the input is used up, or a violation. */
static bool payload_take(struct ws_parser *parser, struct str *input)
{
    size_t len = parser->payload_len - parser->payload_done;
    char *at = parser->control;

    if (len > input->len)
        len = input->len;
    if (len && is_control(parser->opcode)) {
        at += parser->payload_done;
        memcpy(at, input->at, len);
    } else if (len) {
        buf_add(&parser->message, input->at, len);
        at = parser->message.at + parser->message.len - len;
    }
    if (len && parser->role == WS_SERVER)
        mask_apply(at, len, parser->head + parser->head_len - MASK_BYTES, parser->payload_done);
    parser->payload_done += len;
    *input = str_slice(*input, len, input->len);
    if (!is_control(parser->opcode) && parser->message_opcode == WS_TEXT &&
        !utf8_take(&parser->utf8, (struct str){ at, len }))
        return violate(parser, WS_BAD_TEXT, "Text is not UTF-8");
    return parser->payload_done == parser->payload_len;
}

static bool close_read(struct ws_message *out, struct ws_parser *parser)
{
    struct str payload = { parser->control, parser->payload_len };
    struct ws_utf8 utf8 = { 0 };
    int64_t code = WS_NO_CODE;

    if (payload.len == 1)
        return violate(parser, WS_PROTOCOL_ERROR, "Close frame with half a code");
    if (payload.len) {
        code = (unsigned char)payload.at[0] << 8 | (unsigned char)payload.at[1];
        if (!ws_close_code_legal(code))
            return violate(parser, WS_PROTOCOL_ERROR, "Illegal close code");
        payload = str_slice(payload, 2, payload.len);
        if (!utf8_take(&utf8, payload) || utf8.need)
            return violate(parser, WS_BAD_TEXT, "Close reason is not UTF-8");
    }
    parser->closed = true;
    *out = (struct ws_message){ WS_CLOSE, payload, code };
    return true;
}

/* Closes the frame. True: *out is a message; false: a fragment, or a violation. */
static bool frame_end(struct ws_message *out, struct ws_parser *parser)
{
    parser->in_payload = false;
    parser->head_len = 0;
    parser->head_need = 2;
    if (parser->opcode == WS_CLOSE)
        return close_read(out, parser);
    if (is_control(parser->opcode)) {
        *out = (struct ws_message){ .opcode = parser->opcode,
                                    .data = { parser->control, parser->payload_len } };
        return true;
    }
    if (!parser->fin)
        return false;
    if (parser->utf8.need)
        return violate(parser, WS_BAD_TEXT, "Text ends inside a character");
    *out =
        (struct ws_message){ .opcode = parser->message_opcode,
                             .data = parser->message.len ? buf_view(&parser->message) : STR("") };
    parser->message_opcode = WS_CONTINUATION;
    parser->delivered = true;
    return true;
}

static void message_forget(struct ws_parser *parser)
{
    if (parser->message.cap > IDLE_BYTES)
        buf_free(&parser->message);
    else
        buf_clear(&parser->message);
    parser->delivered = false;
}

enum ws_event ws_parse(struct ws_message *out, struct ws_parser *parser, struct str *input)
{
    if (parser->delivered)
        message_forget(parser);
    while (!parser->violation.code) {
        if (parser->closed) {
            *input = STR_NONE;
            return WS_MORE;
        }
        if (!parser->in_payload && !head_take(parser, input))
            break;
        if (!payload_take(parser, input))
            break;
        if (frame_end(out, parser))
            return WS_MESSAGE;
    }
    return parser->violation.code ? WS_VIOLATION : WS_MORE;
}
