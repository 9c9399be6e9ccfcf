/* size.c - a body that says it is too large is refused before it is read. */
#include "fcgi/pipeline.h"

enum result stage_size(struct request *r)
{
    int64_t length;

    if (!request_takes_body(r))
        return OK;
    TRY(request_length(&length, r));
    if (length != INT_NONE && length > request_body_limit(r))
        return refuse_large_body(r, length, request_body_limit(r));
    return OK;
}
