/* sender.h - one try at handing a request to the collector (OTLP/HTTP, opentelemetry-proto). */
#ifndef ARAGORA_TRACE_SENDER_H
#define ARAGORA_TRACE_SENDER_H

#include "common/http/client.h"

#define SENDER_HEADERS (HTTP_HEADERS_MAX - 1) /* beside Content-Type */

struct sender_config { /* all strings live as long as the process */
    struct str url;
    struct http_config http;
    struct http_header headers[SENDER_HEADERS]; /* up to the first without a name */
    enum http_reach reach;
    int64_t timeout_us; /* of a try */
};

enum sent {
    SENT,
    SENT_LATER, /* another try may succeed */
    SENT_NEVER, /* the collector does not take it */
};

struct sent_report {
    int64_t rejected; /* spans of a request that was SENT */
    int64_t wait_us;  /* as the collector asks; INT_NONE: it does not */
    const char *problem;
    int status; /* 0: no answer */
};

/* Until it is answered, the limit of a try is over, or go_on() says no; it is asked many times a
 * second. */
enum sent send_request(struct sent_report *report, struct http_client *client,
                       const struct sender_config *config, struct str body,
                       bool (*go_on)(void *arg), void *arg);

#endif
