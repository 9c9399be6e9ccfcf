/* body.c - the body is read once the sender is known; then the row's table checks all input. */
#include "fcgi/input.h"
#include "fcgi/pipeline.h"

enum result stage_body(struct request *r)
{
    if (request_takes_body(r))
        TRY(exchange_body(r, request_body_limit(r)));
    return input_read(r);
}
