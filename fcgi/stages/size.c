/* size.c - a body that says it is too large, or compressed, is refused before it is read. */
#include "fcgi/pipeline.h"

/* Nothing is unpacked here: a small body could become a very large one (http.md 16). */
static enum result check_encoding(struct request *r)
{
    struct str encoding = str_trim(header(r, "content-encoding"));

    if (!encoding.len || str_eq_nocase(encoding, STR("identity")))
        return OK;
    return refuse(r, ERR_MEDIA_TYPE, .field = STR("Content-Encoding"),
                  .message = STR("Unsupported Content-Encoding. Send the body as it is"));
}

enum result stage_size(struct request *r)
{
    int64_t length;

    if (!request_takes_body(r))
        return OK;
    TRY(check_encoding(r));
    TRY(request_length(&length, r));
    if (length != INT_NONE && length > request_body_limit(r))
        return refuse_large_body(r, length, request_body_limit(r));
    return OK;
}
