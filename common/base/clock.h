/* clock.h - the two clocks, and times as text. */
#ifndef ARAGORA_CLOCK_H
#define ARAGORA_CLOCK_H

#include "common/base/buf.h"

struct utc utc_now(void);          /* wall clock */
int64_t monotonic_us(void);        /* for limits and durations */
int64_t monotonic_coarse_us(void); /* the same clock at tick resolution, cheaper */

#define UTC_TEXT 40
/* 2026-01-21T10:00:00.123456+00:00, without the fraction when it is zero. */
size_t utc_text(char out[UTC_TEXT], struct utc time);
/* As utc_text(), with Z for +00:00. */
size_t utc_text_z(char out[UTC_TEXT], struct utc time);
/* RFC 3339, or a plain date (midnight UTC). */
MUST_USE bool utc_parse(struct utc *out, struct str text);
/* Seconds since the epoch with six decimals. */
void buf_json_epoch(struct buf *buf, struct utc time);

#endif
