/* request.c - reading a request: its headers, who sent it, its body.
 *
 * An empty CONTENT_LENGTH is not zero: nginx sends it so for a body whose length it does not
 * know. So bodies are read to their end, with a cap, and then compared with the length. */
#include "fcgi/request.h"

#include "common/auth/address.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/settings.h"

#include <ctype.h>

#define BODY_PIECE 16384

struct exchange *exchange_of(const struct request *r)
{
    return (struct exchange *)r->response;
}

struct str exchange_param(const struct exchange *exchange, const char *name)
{
    const struct param *params = exchange->params.at;
    const struct str wanted = str_from(name);

    for (size_t i = 0; i < exchange->params.count; i++)
        if (str_eq(params[i].name, wanted))
            return params[i].value;
    return STR_NONE;
}

/* Is HTTP_X_API_KEY the variable of x-api-key? */
static bool names_header(struct str variable, struct str name)
{
    if (variable.len == name.len + 5 && str_starts(variable, STR("HTTP_")))
        variable = str_slice(variable, 5, variable.len);
    else if (variable.len != name.len || !str_starts(variable, STR("CONTENT_")))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        int c = name.at[i] == '-' ? '_' : toupper((unsigned char)name.at[i]);

        if ((unsigned char)variable.at[i] != c)
            return false;
    }
    return true;
}

struct str header(const struct request *r, const char *name)
{
    const struct exchange *exchange = exchange_of(r);
    const struct param *params = exchange ? exchange->params.at : NULL;
    const struct str wanted = str_from(name);

    for (size_t i = 0; params && i < exchange->params.count; i++)
        if (names_header(params[i].name, wanted))
            return params[i].value;
    return STR_NONE;
}

size_t exchange_headers(const struct exchange *exchange, const char *name)
{
    const struct param *params = exchange->params.at;
    size_t count = 0;

    for (size_t i = 0; i < exchange->params.count; i++)
        count += names_header(params[i].name, str_from(name));
    return count;
}

size_t field_index(const struct field *fields, const char *name)
{
    size_t i = 0;

    while (fields[i].name && strcmp(fields[i].name, name) != 0)
        i++;
    return i;
}

const char *const method_names[METHOD_COUNT + 1] = {
    "GET", "POST", "PUT", "PATCH", "DELETE", NULL
};

/* METHOD_COUNT: none that we know. */
static enum method method_of(struct str name)
{
    enum method method = METHOD_GET;

    if (str_is(name, "HEAD"))
        return METHOD_GET;
    while (method < METHOD_COUNT && !str_is(name, method_names[method]))
        method++;
    return method;
}

/* Forwarding headers count only from a proxy of ours (http.md 8). X-Real-IP counts where the other
 * is not sent: not every proxy replaces what its client wrote there. */
static struct str client_address(const struct request *r, struct str peer)
{
    struct str list = header(r, "x-forwarded-for"), real = header(r, "x-real-ip");

    return list.len || real.len ? forwarded_address(peer, list.len ? list : real) : peer;
}

struct list params_read(struct arena *arena, char **environment)
{
    struct list list = { 0 };
    size_t count = 0;

    while (environment[count])
        count++;
    struct param *params = arena_array(arena, count, sizeof(*params));
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(environment[i], '=');

        if (equals)
            params[list.count++] =
                (struct param){ { environment[i], (size_t)(equals - environment[i]) },
                                str_from(equals + 1) };
    }
    list.at = params;
    return list;
}

struct exchange *exchange_new(struct arena *arena, struct list params)
{
    struct exchange *exchange = arena_alloc(arena, sizeof(*exchange));
    struct request *r = &exchange->request;

    exchange->params = params;
    r->response = &exchange->response;
    r->arena = arena;
    r->received_us = monotonic_us();
    r->version = 1;
    r->method = method_of(exchange_param(exchange, "REQUEST_METHOD"));
    r->head = str_is(exchange_param(exchange, "REQUEST_METHOD"), "HEAD");
    r->query = exchange_param(exchange, "QUERY_STRING");
    r->address = client_address(r, exchange_param(exchange, "REMOTE_ADDR"));
    return exchange;
}

enum result request_length(int64_t *out, struct request *r)
{
    struct str text = header(r, "content-length");
    int64_t length = INT_NONE;

    if (text.len && !str_int(&length, text, INT64_MIN + 1, INT64_MAX))
        return refuse(r, ERR_BAD_REQUEST,
                      .message = str_is_text(text)
                                     ? arena_printf(r->arena, "Invalid Content-Length header: %.*s",
                                                    STR_ARG(text))
                                     : STR("Invalid Content-Length header"));
    if (length != INT_NONE && length < 0)
        return refuse(r, ERR_BAD_REQUEST, .message = STR("Content-Length cannot be negative"));
    *out = length;
    return OK;
}

int64_t request_body_limit(const struct request *r)
{
    return r->route->body_bytes ? r->route->body_bytes : setting_int(SETTING_MAX_REQUEST_SIZE);
}

bool request_takes_body(const struct request *r)
{
    return r->method != METHOD_GET;
}

enum result refuse_large_body(struct request *r, int64_t length, int64_t limit)
{
    const double mb = 1048576.0;

    if (length == INT_NONE)
        return refuse(r, ERR_BODY_TOO_LARGE);
    return refuse(r, ERR_BODY_TOO_LARGE,
                  .message = arena_printf(r->arena,
                                          "Request body too large: %.2fMB exceeds maximum"
                                          " allowed %.2fMB",
                                          (double)length / mb, (double)limit / mb));
}

enum result exchange_body(struct request *r, int64_t limit)
{
    struct exchange *exchange = exchange_of(r);
    struct buf *body = arena_buf(r->arena);
    int64_t length = INT_NONE;
    bool cut = false;
    size_t got;

    TRY(request_length(&length, r));
    if (length != INT_NONE && length > limit)
        return refuse_large_body(r, length, limit);
    for (;;) {
        buf_reserve(body, BODY_PIECE);
        if (!exchange->read(exchange->source, body->at + body->len, BODY_PIECE, &got, &cut))
            break;
        body->len += got;
        if ((int64_t)body->len > limit)
            return refuse_large_body(r, INT_NONE, limit);
    }
    if (cut || (length != INT_NONE && (int64_t)body->len != length))
        return refuse(r, ERR_BODY_CUT);
    r->body = buf_view(body);
    return OK;
}
