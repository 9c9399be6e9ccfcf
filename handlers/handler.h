/* handler.h - all that a route family sees of the worker.
 *
 * A route is one row. Dispatch, checks of the input, permissions, limits, the OpenAPI document,
 * metrics labels, aragora routes and the contract tests read it; nothing about an operation
 * stands anywhere else. fcgi/ implements the functions. */
#ifndef ARAGORA_HANDLER_H
#define ARAGORA_HANDLER_H

#include "common/auth/principal.h"
#include "common/base/field.h"
#include "common/db/db.h"
#include "common/trace/context.h"

enum method {
    METHOD_GET,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_COUNT, /* HEAD is GET without the body; OPTIONS is answered before dispatch */
};
extern const char *const method_names[METHOD_COUNT + 1]; /* the last is NULL */

enum stability { EXPERIMENTAL, STABLE };

/* How often one client may call; the numbers are settings. */
enum limit {
    LIMIT_DEFAULT, /* by who calls: public, authenticated, administrator */
    LIMIT_NONE,    /* probes, files */
    LIMIT_CREATE,  /* starting a debate */
};

struct request;
struct idempotent;

struct route {
    enum method method;
    const char *path; /* {name} is one segment, {name*} the rest */
    enum result (*handler)(struct request *r);
    const char *file;
    int line;

    const char *id;         /* operationId, from the handler's name */
    const char *alias[4];   /* other paths of the same operation */
    const char *permission; /* NULL: see public and signed_in */
    bool public;            /* no credential needed; one that is sent must be good */
    bool signed_in;         /* any credential, no permission */
    bool no_database;       /* the handler asks none, so it answers while there is none */
    enum stability stability;
    enum limit limit;
    int64_t timeout_s;  /* 0: the setting */
    int64_t body_bytes; /* 0: the setting */
    bool body_optional;
    bool creates;   /* a repeat is known by its Idempotency-Key: answer with reply_commit(); POST
                       with 201 or 202 is so without saying it */
    bool raw_query; /* whatever it holds, nobody reads it */
    bool etag;      /* GET: answered with 304 to a client that has the same already */

    const struct field *input;
    size_t input_size;
    int status;                /* of success; 0: 200; 204 has no body */
    int unready_status;        /* of the same reply from a probe that says no; 0: none */
    const struct field *reply; /* NULL: .reply_type */
    const char *reply_type;    /* media type of an answer that is not JSON by table */
    const enum result *errors; /* of its own, beside those of the pipeline; ends with OK */
    const char *tag;
    const char *doc; /* one line */
};

#define ROUTE(method_, path_, handler_)                                                            \
    .method = METHOD_##method_, .path = path_, .handler = handler_, .file = __FILE__,              \
    .line = __LINE__, .id = #handler_
#define INPUT(type, table) .input = table, .input_size = sizeof(type)
#define ERRORS(...)                                                                                \
    .errors = (const enum result[])                                                                \
    {                                                                                              \
        __VA_ARGS__, OK                                                                            \
    }

/* Every family's rows, in registries.c; ends with NULL. */
extern const struct route *const *route_tables;
/* By the settings, once they are read: with ARAGORA_USE_FASTAPI there are more. */
void route_tables_choose(void);

/* Why a request was refused. */
struct refusal {
    enum result result; /* OK: not refused */
    struct str message; /* STR_NONE: the row's of errors.def */
    struct str field;
    struct json_text details;
    struct str suggestion;
    int64_t retry_after_s; /* 0: none */
    bool use_playground;
};

struct response;

#define PARAMS_MAX 8

struct request {
    struct arena *arena; /* dies with the answer */
    struct db *db;       /* NULL until authenticated; then of the caller's tenant */
    const struct route *route;
    enum method method;
    bool head;
    int version;                   /* 1 or 2 (http.md 2.2) */
    bool legacy;                   /* nobody said which, under /api/: 1 */
    struct str path;               /* decoded, collapsed */
    struct str query;              /* raw */
    struct str body;               /* whole */
    struct str address;            /* of the client (http.md 8, Client IP) */
    struct str params[PARAMS_MAX]; /* in the order of the braces */
    struct principal who;
    struct str request_id, trace_id, span_id, parent_span;
    struct trace_context trace;       /* of its span */
    int64_t received_us, deadline_us; /* monotonic */
    void *input;                      /* what the row's INPUT says; checked */
    uint64_t given;                   /* bit i: field i of the input table was sent */
    struct idempotent *idempotent;    /* NULL: a repeat of it is not told from it */
    struct refusal refusal;
    struct response *response;
};

/* A header of the request by its name in lower case; STR_NONE if not sent. */
struct str header(const struct request *r, const char *name);
/* The request's span, as it is told to what goes on in its name (W3C Trace Context 3.2). Lives in
 * the arena; STR_NONE: it has none. */
struct str traceparent(const struct request *r);
/* Was this member of the input sent? */
#define given(r, table, member) (((r)->given >> field_index((table), #member)) & 1)
size_t field_index(const struct field *fields, const char *name);

/* The status with which the row succeeds. */
int success_status(const struct route *route);
/* Is a repeat of its request answered as the first was? */
bool route_creates(const struct route *route);

/* That status with the row's reply table; object NULL: it has no body. Returns DONE. */
MUST_USE enum result reply(struct request *r, const void *object);
MUST_USE enum result reply_status(struct request *r, int status, const void *object);
/* Another body; borrowed until sent, so of the arena or static. */
MUST_USE enum result reply_text(struct request *r, int status, const char *type, struct str body);
void reply_header(struct request *r, const char *name, struct str value);
/* return reply_commit(r, &tx, reply(r, &object)): commits what the answer tells of and, with it,
 * the answer for repeats of the request. Of every row that creates. */
MUST_USE enum result reply_commit(struct request *r, struct tx *tx, enum result answered);

/* return refuse(r, ERR_VALIDATION, .field = STR("task"), .message = ...); */
#define refuse(r, result_, ...) refuse_with(r, (struct refusal){ .result = (result_), __VA_ARGS__ })
enum result refuse_with(struct request *r, struct refusal refusal);

/* What the processes of this host share; NULL: it cannot be opened. */
struct segment *request_segment(const struct request *r);

/* The OpenAPI 3.1 document: of all rows, or of those whose path is of the second version. */
enum openapi_part { OPENAPI_ALL, OPENAPI_V2 };
void openapi_write(struct buf *out, enum openapi_part part);
/* The same in YAML. */
void openapi_write_yaml(struct buf *out, enum openapi_part part);
/* All rows as a Postman collection (schema 2.1.0). */
void openapi_write_postman(struct buf *out);

/* The files of web/, which stand in the program; ends with a row without a name. */
struct web_file {
    const char *name;
    struct str text;
};
extern const struct web_file web_files[];

#endif
