/* frame.h - WebSocket frames (RFC 6455 5 to 8), without a transport.
 *
 * Encoders append to a buffer. The parser takes bytes as they come and gives whole messages;
 * a peer that breaks the protocol is named with the close code it deserves. Extensions are
 * never negotiated, so RSV bits are always wrong. Out of memory aborts, as in buf.h. */
#ifndef ARAGORA_WS_FRAME_H
#define ARAGORA_WS_FRAME_H

#include "common/base/buf.h"

/* Which end we are. Clients mask what they send, servers must not (5.1). */
enum ws_role {
    WS_SERVER = 0,
    WS_CLIENT,
};

enum ws_opcode {
    WS_CONTINUATION = 0x0, /* never the opcode of a message */
    WS_TEXT = 0x1,
    WS_BINARY = 0x2,
    WS_CLOSE = 0x8,
    WS_PING = 0x9,
    WS_PONG = 0xa,
};

/* Close codes that we send (7.4.1, and the IANA registry for 1013). */
enum ws_close_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_UNSUPPORTED = 1003,
    WS_NO_CODE = 1005, /* an empty close frame; never on the wire */
    WS_BAD_TEXT = 1007,
    WS_POLICY = 1008,
    WS_TOO_LARGE = 1009,
    WS_SERVER_ERROR = 1011,
    WS_TRY_LATER = 1013,
};

#define WS_CONTROL_MAX 125 /* bytes of payload in a control frame (5.5) */
#define WS_REASON_MAX  123 /* the same without the close code */
#define WS_HEAD_MAX    14  /* 2 + 8 of length + 4 of mask */

/* May this code stand in a close frame? (7.4) */
bool ws_close_code_legal(int64_t code);

/* Each appends one whole frame. What a server encodes is the same for every receiver, so one
 * buffer may be sent to all; a client's frame has a fresh mask and is for one. The text must be
 * UTF-8: senders check, receivers close. */
void ws_frame_text(struct buf *out, enum ws_role role, struct str text);
void ws_frame_binary(struct buf *out, enum ws_role role, struct str data);
/* WS_PING or WS_PONG; the payload is at most WS_CONTROL_MAX bytes. */
void ws_frame_control(struct buf *out, enum ws_role role, enum ws_opcode opcode,
                      struct str payload);
/* WS_NO_CODE gives an empty frame. A reason that is too long is cut between characters. */
void ws_frame_close(struct buf *out, enum ws_role role, int64_t code, struct str reason);

/* A whole message. Borrowed from the parser until the next ws_parse() or ws_parser_free(). */
struct ws_message {
    enum ws_opcode opcode;
    struct str data;    /* never absent; of a close frame the reason */
    int64_t close_code; /* of a close frame; WS_NO_CODE if it was empty */
};

/* What the peer did wrong: the close code and the reason to send. code == 0: nothing. */
struct ws_violation {
    int64_t code;
    const char *reason;
};

/* How far a stream of bytes is inside a UTF-8 sequence. */
struct ws_utf8 {
    unsigned char need, low, high; /* continuation bytes due; range of the next one */
};

/* The receiving half of a connection. Owns memory: ws_parser_free(). */
struct ws_parser {
    enum ws_role role;
    size_t message_max;            /* bytes of a joined message */
    struct ws_violation violation; /* read it after WS_VIOLATION */

    /* The rest is the parser's. */
    unsigned char head[WS_HEAD_MAX];
    size_t head_len, head_need;
    enum ws_opcode opcode; /* of this frame */
    bool fin, in_payload;
    size_t payload_len, payload_done;
    char control[WS_CONTROL_MAX]; /* apart, as it may arrive between fragments */
    struct buf message;
    enum ws_opcode message_opcode; /* WS_CONTINUATION: no message is open */
    struct ws_utf8 utf8;
    bool delivered, closed;
};

enum ws_event {
    WS_MORE = 0,  /* the input is used up */
    WS_MESSAGE,   /* *out is filled; call again, there may be more */
    WS_VIOLATION, /* close with parser->violation; every later call says the same */
};

void ws_parser_start(struct ws_parser *parser, enum ws_role role, size_t message_max);
void ws_parser_free(struct ws_parser *parser); /* also for CLEANUP(); twice is fine */

/* Takes bytes off the front of *input, up to the end of one message. Text is checked as it
 * arrives, so bad text is refused before its message ends (8.1). Ping and close are given to the
 * caller, who answers them. After a close frame the input is thrown away (1.4): WS_MORE. */
MUST_USE enum ws_event ws_parse(struct ws_message *out, struct ws_parser *parser,
                                struct str *input);

#endif
