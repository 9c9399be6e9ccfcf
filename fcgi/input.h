/* input.h - path, query and body into the struct that the row's INPUT names, or a 400. */
#ifndef ARAGORA_INPUT_H
#define ARAGORA_INPUT_H

#include "handlers/handler.h"

/* Sets r->input and r->given; the body is in r->body. */
MUST_USE enum result input_read(struct request *r);

/* Where the row reads this field: FROM_PATH, FROM_QUERY, FROM_BODY or FROM_HEADER. */
enum field_from input_source(const struct route *route, const struct field *field);
/* Is a body read? GET and DELETE have none. */
bool input_wants_body(const struct route *route);
/* An empty body is no error. */
bool input_body_optional(const struct route *route);

#endif
