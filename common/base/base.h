/* base.h - the words that every file of the project uses.
 *
 * Strings are borrowed views (struct str), times are microseconds UTC (struct utc), what can
 * fail returns an enum result. Out-parameters come first and stay untouched on failure. */
#ifndef ARAGORA_BASE_H
#define ARAGORA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define COUNT(array)    (sizeof(array) / sizeof((array)[0]))
#define MUST_USE        __attribute__((warn_unused_result))
#define CLEANUP(free)   __attribute__((cleanup(free)))
#define PRINTF(fmt, at) __attribute__((format(printf, fmt, at)))
#define UNUSED          __attribute__((unused))
#define NORETURN        __attribute__((noreturn))

#define US_PER_MS INT64_C(1000)
#define US_PER_S  INT64_C(1000000)

/* OK: go on. DONE: the request is answered. ERR_*: a row of errors.def. */
enum result {
    OK = 0,
    DONE,
#define ERROR(name, status, code, code_v2, level, message) ERR_##name,
#include "common/base/errors.def"
#undef ERROR
    RESULT_COUNT
};

/* Returns what is not OK. The only macro that may return. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum result try_result = (expression);                                                     \
        if (try_result != OK)                                                                      \
            return try_result;                                                                     \
    } while (0)

/* A borrowed, unterminated string. at == NULL: absent. */
struct str {
    const char *at;
    size_t len;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_NONE     ((struct str){ NULL, 0 })
#define STR_ARG(s)   (int)(s).len, (s).at ? (s).at : ""
#define STR_FMT      "%.*s"

/* JSON text that is known to be valid; written out as it stands. at == NULL: absent. */
struct json_text {
    struct str text;
};

/* Bytes that are not text. */
struct bytes {
    const unsigned char *at;
    size_t len;
};

/* Microseconds since 1970-01-01T00:00:00Z. us == 0: absent. */
struct utc {
    int64_t us;
};

/* An array in an arena. */
struct list {
    void *at;
    size_t count;
};

/* An integer column or field that may be absent. */
#define INT_NONE INT64_MIN

struct str str_from(const char *terminated); /* NULL gives STR_NONE */
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII */
bool str_is(struct str s, const char *terminated);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s);                            /* ASCII white space, both ends */
struct str str_slice(struct str s, size_t from, size_t to);   /* clipped to the string */
bool str_find(size_t *out, struct str s, struct str needle);  /* first place */
bool str_split(struct str *part, struct str *rest, char sep); /* false: rest was used up */
uint64_t str_hash(struct str s);                              /* FNV-1a, 64 bit; not for secrets */

/* The whole string as an integer in [min, max]. */
MUST_USE bool str_int(int64_t *out, struct str s, int64_t min, int64_t max);
/* The whole string as a finite number. */
MUST_USE bool str_double(double *out, struct str s);
/* "1 true yes on" and "0 false no off", any case (http.md 3). */
MUST_USE bool str_bool(bool *out, struct str s);
/* Well-formed UTF-8 without NUL (RFC 3629: no surrogates, no overlong forms). */
bool str_is_text(struct str s);
size_t str_characters(struct str utf8); /* code points */
/* At most max code points. */
struct str str_cut(struct str utf8, size_t max);

#endif
