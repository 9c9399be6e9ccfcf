/* pipeline.h - from a request to its answer, the same way for every route.
 *
 * The stages run in the order of decision 46; the first that does not say OK ends the request.
 * Every answer, errors included, is then shaped alike: version, CORS, security and trace
 * headers. */
#ifndef ARAGORA_PIPELINE_H
#define ARAGORA_PIPELINE_H

#include "common/trace/span.h"
#include "fcgi/request.h"

struct worker;

/* *out is the caller's, for worker_free(). A fault in the route tables aborts. */
MUST_USE enum result worker_new(struct worker **out);
void worker_free(struct worker *worker); /* NULL is fine */

struct segment;
/* What the processes of this host share; NULL: it cannot be opened. */
struct segment *worker_segment(struct worker *worker);
/* NULL as long as there is no segment. */
struct endpoints *worker_endpoints(const struct worker *worker);
const struct route_index *worker_routes(const struct worker *worker);
/* The open database; NULL: not there, or its schema is old. Tries again at most once a second. */
struct db *worker_database(struct worker *worker);
/* The same without trying. */
struct db *worker_database_now(const struct worker *worker);
/* Why there is none: ERR_DATABASE or ERR_SCHEMA_OLD. */
enum result worker_database_fault(const struct worker *worker);

/* Answers into exchange->response and writes the access line. */
void pipeline_run(struct exchange *exchange);

/* One file each in stages/. */
enum result stage_trace(struct request *r);
enum result stage_deadline(struct request *r);
enum result stage_route(struct request *r);
enum result stage_span(struct request *r);
enum result stage_size(struct request *r);
enum result stage_authenticate(struct request *r);
enum result stage_authorise(struct request *r);
enum result stage_rate_limit(struct request *r);
enum result stage_body(struct request *r);
enum result stage_idempotency(struct request *r);
enum result stage_handler(struct request *r);

/* Idempotency-Key, as a row's document tells it. */
#define IDEMPOTENCY_KEY_PATTERN "^[!-+.-~-]{1,255}$"
/* The answer to the request's first sending, as DONE; OK: there is none. */
enum result idempotency_replay(struct request *r);
/* Lets the next of its repeats run. */
void idempotency_end(struct request *r);

/* Unless the client asks for another time; stages/deadline.c. */
void deadline_set(struct request *r, int64_t seconds);
/* ERR_TIMEOUT, with what 504 tells. */
enum result deadline_refuse(struct request *r);

/* Allow for what OPTIONS asks about; stages/route.c. */
void route_options(struct request *r);

/* Around the handler and, once it is answered, of the whole request; stages/span.c. */
void handler_span_begin(struct span *span, struct request *r);
void handler_span_end(struct span *span, struct request *r, enum result result);
void request_span(struct request *r);

/* Headers of every answer; stages/shape.c. */
void shape_cors(struct request *r);
void shape_answer(struct request *r);

#endif
