/* log.h - one line per event, text or JSON, to standard error.
 *
 * A line is an event name and key=value pairs. Values under a name that speaks of a secret, values
 * that look like one, and those that hold one told by log_hide() are replaced (http.md 10). common/
 * returns errors, programs log them: once, where they decide. */
#ifndef ARAGORA_LOG_H
#define ARAGORA_LOG_H

#include "common/base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_CRITICAL };
enum log_format { LOG_TEXT, LOG_JSON };

/* Read once at start. program: a literal. */
void log_open(const char *program, enum log_level level, enum log_format format);
void log_times(bool shown); /* of the lines; shown at first */
bool log_wants(enum log_level level);

/* Never written from here on, by its value; borrowed. Short ones would hide common words: they are
 * passed over. At start, at most LOG_SECRETS. */
#define LOG_SECRETS 64
void log_hide(struct str secret);

/* The request or job whose lines follow, on this thread. Borrowed until changed. */
void log_context(struct str request_id, struct str trace_id);

/* Is this value kept out of the log, for its name or its look? */
bool log_hides(const char *name, struct str value);

/* name, value, name, value, ... ended by log_event() itself. */
void log_event_at(enum log_level level, const char *file, int line, const char *event, ...)
    __attribute__((sentinel));

/* log_event(LOG_INFO, "request", "path", path_cstr, "status", "200"): values are C strings. */
#define log_event(level, ...)                                                                      \
    do {                                                                                           \
        if (log_wants(level))                                                                      \
            log_event_at(level, __FILE__, __LINE__, __VA_ARGS__, (const char *)NULL);              \
    } while (0)

/* Small numbers and borrowed strings as C strings, valid until 16 more calls on the thread. */
const char *log_int(int64_t value);
const char *log_str(struct str s);

#endif
