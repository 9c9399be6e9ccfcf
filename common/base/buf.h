/* buf.h - text and bytes that grow, and JSON written straight into them. */
#ifndef ARAGORA_BUF_H
#define ARAGORA_BUF_H

#include "common/base/base.h"

/* Zero-initialised is empty. Owns its memory: buf_free(). Aborts when out of memory. */
struct buf {
    char *at;
    size_t len, cap;
};

void buf_free(struct buf *buf);  /* also for CLEANUP() */
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_reserve(struct buf *buf, size_t more);
void buf_add(struct buf *buf, const void *at, size_t len);
void buf_str(struct buf *buf, struct str s);
void buf_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF(2, 3);
struct str buf_view(const struct buf *buf); /* borrowed until the next change */

/* A JSON string with its quotes: minimal escapes, lower-case \u00xx (RFC 8785 3.2.2.2). The
 * text must be UTF-8. */
void buf_json_str(struct buf *buf, struct str text);
/* A number as ECMAScript prints it (RFC 8785 3.2.2.3); NaN and infinity give null. */
void buf_json_double(struct buf *buf, double value);
void buf_json_int(struct buf *buf, int64_t value);
/* ,"key": with the comma only behind an earlier member. */
void buf_json_key(struct buf *buf, struct str key);
/* The comma between two values, if one is due. */
void buf_json_comma(struct buf *buf);

/* Room for any int64_t in decimal, NUL included. */
#define INT_TEXT 24
size_t int_text(char out[INT_TEXT], int64_t value);

/* Room for any double as ECMAScript prints it, NUL included. */
#define DOUBLE_TEXT 32
/* Shortest text that reads back as the same double (ECMA-262, Number::toString). */
size_t double_text(char out[DOUBLE_TEXT], double value);

#endif
