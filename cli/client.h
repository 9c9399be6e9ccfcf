/* client.h - a client of a running server: requests over HTTP, events over its WebSocket.
 *
 * Blocking, over libcurl, which brings TLS and proxies. For the commands that talk to a server
 * as anybody's program would. */
#ifndef ARAGORA_CLIENT_H
#define ARAGORA_CLIENT_H

#include "common/base/arena.h"

struct endpoint {
    struct str url;   /* http:// or https://host:port, maybe with a path below */
    struct str token; /* STR_NONE: none is sent */
    struct str ca;    /* PEM file of authorities to trust beside the system's; STR_NONE: none */
};

struct answer {
    int status; /* 0: nothing answered; problem says why */
    struct str body, problem;
};

/* GET, or POST with a JSON body. path begins with a slash. The answer lives in the arena. */
struct answer client_request(struct arena *arena, const struct endpoint *endpoint,
                             const char *method, struct str path, struct str body);
/* The "error" of an error's body, or what else tells most. */
struct str answer_problem(struct arena *arena, const struct answer *answer);

struct stream;

/* Opens the stream of one loop; events with seq > from come again. NULL: *problem says why;
 * *refused: the server will not have it, trying again is of no use. */
struct stream *stream_open(struct arena *arena, const struct endpoint *endpoint, struct str loop_id,
                           int64_t from, struct str *problem, bool *refused);
void stream_close(struct stream *stream); /* NULL is fine */

enum stream_step { STREAM_MESSAGE, STREAM_QUIET, STREAM_LOST };
/* The next text message, borrowed until the next call, or nothing within limit_ms. */
enum stream_step stream_next(struct str *message, struct stream *stream, int limit_ms);

#endif
