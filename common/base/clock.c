#include "common/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

struct utc utc_now(void)
{
    return (struct utc){ read_clock(CLOCK_REALTIME) };
}

int64_t monotonic_us(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t monotonic_coarse_us(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

/* count digits (years from 0 to 9999, as RFC 3339 has them), and what stands behind them. Returns
 * the end. */
static char *put(char *out, int value, int count, char behind)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    out[count] = behind;
    return out + count + 1;
}

/* By hand: strftime() and a format took a tenth of a log line's time. */
static size_t format(char out[UTC_TEXT], struct utc time, const char *zone)
{
    int64_t seconds = time.us / US_PER_S, fraction = time.us % US_PER_S;
    struct tm tm;

    if (fraction < 0) {
        fraction += US_PER_S;
        seconds--;
    }
    time_t t = (time_t)seconds;
    gmtime_r(&t, &tm);
    char *at = put(out, tm.tm_year + 1900, 4, '-');
    at = put(at, tm.tm_mon + 1, 2, '-');
    at = put(at, tm.tm_mday, 2, 'T');
    at = put(at, tm.tm_hour, 2, ':');
    at = put(at, tm.tm_min, 2, ':');
    at = put(at, tm.tm_sec, 2, '.');
    if (fraction)
        at = put(at, (int)fraction, 6, '.');
    at--; /* the last point */
    while ((*at = *zone++))
        at++;
    return (size_t)(at - out);
}

size_t utc_text(char out[UTC_TEXT], struct utc time)
{
    return format(out, time, "+00:00");
}

size_t utc_text_z(char out[UTC_TEXT], struct utc time)
{
    return format(out, time, "Z");
}

/* count digits at text as a number; false: something else stands there. */
static bool digits(int *out, struct str text, size_t from, size_t count)
{
    int64_t value;
    struct str part = str_slice(text, from, from + count);

    if (part.len != count || part.at[0] < '0' || part.at[0] > '9' ||
        !str_int(&value, part, 0, 9999))
        return false;
    *out = (int)value;
    return true;
}

/* The part behind the seconds: fraction and zone. */
static bool parse_zone(int64_t *fraction, int64_t *offset, struct str rest)
{
    int hours, minutes;

    *fraction = *offset = 0;
    if (rest.len && rest.at[0] == '.') {
        int64_t unit = US_PER_S;
        size_t i = 1;
        for (; i < rest.len && rest.at[i] >= '0' && rest.at[i] <= '9'; i++) {
            unit /= 10;
            *fraction += (rest.at[i] - '0') * unit;
        }
        if (i == 1)
            return false;
        rest = str_slice(rest, i, rest.len);
    }
    if (rest.len == 0 || str_eq_nocase(rest, STR("Z")))
        return true;
    if (rest.len != 6 || (rest.at[0] != '+' && rest.at[0] != '-') || rest.at[3] != ':' ||
        !digits(&hours, rest, 1, 2) || !digits(&minutes, rest, 4, 2) || hours > 23 || minutes > 59)
        return false;
    *offset = INT64_C(60) * (hours * 60 + minutes) * (rest.at[0] == '-' ? -1 : 1);
    return true;
}

bool utc_parse(struct utc *out, struct str text)
{
    struct tm tm = { 0 };
    int64_t fraction = 0, offset = 0;

    if (!digits(&tm.tm_year, text, 0, 4) || !digits(&tm.tm_mon, text, 5, 2) ||
        !digits(&tm.tm_mday, text, 8, 2) || text.at[4] != '-' || text.at[7] != '-')
        return false;
    if (text.len > 10) {
        if (!strchr("Tt ", text.at[10]) || !digits(&tm.tm_hour, text, 11, 2) ||
            !digits(&tm.tm_min, text, 14, 2) || !digits(&tm.tm_sec, text, 17, 2) ||
            text.at[13] != ':' || text.at[16] != ':' ||
            !parse_zone(&fraction, &offset, str_slice(text, 19, text.len)))
            return false;
    }
    struct tm wanted = tm;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t seconds = timegm(&tm);
    /* timegm() normalises the 31st of February; we refuse it. */
    if (tm.tm_mday != wanted.tm_mday || tm.tm_mon + 1 != wanted.tm_mon ||
        tm.tm_hour != wanted.tm_hour || tm.tm_min != wanted.tm_min)
        return false;
    *out = (struct utc){ ((int64_t)seconds - offset) * US_PER_S + fraction };
    return true;
}

void buf_json_epoch(struct buf *buf, struct utc time)
{
    buf_printf(buf, "%lld.%06lld", (long long)(time.us / US_PER_S),
               (long long)(time.us % US_PER_S));
}
