/* response.c - answers of handlers, and the one shape of errors. */
#include "fcgi/response.h"

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/settings.h"
#include "handlers/handler.h"

#include <assert.h>
#include <strings.h>

#define JSON_TYPE  "application/json"
#define HEAD_BYTES 3072 /* of an ordinary answer */

int success_status(const struct route *route)
{
    return route->status ? route->status : 200;
}

bool route_creates(const struct route *route)
{
    return route->method == METHOD_POST &&
           (route->creates || route->status == 201 || route->status == 202);
}

enum result reply(struct request *r, const void *object)
{
    int status = success_status(r->route);

    return object ? reply_status(r, status, object) : reply_text(r, status, NULL, STR(""));
}

enum result reply_status(struct request *r, int status, const void *object)
{
    struct buf *body = arena_buf(r->arena);

    fields_write(body, object, r->route->reply);
    return reply_text(r, status, JSON_TYPE, buf_view(body));
}

enum result reply_text(struct request *r, int status, const char *type, struct str body)
{
    r->response->status = status;
    r->response->type = type;
    r->response->body = body;
    return DONE;
}

/* Among the first count. Most names differ in length: this runs some hundred times an answer. */
static struct response_header *find(struct response *response, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (response->headers[i].name.len == name.len &&
            strncasecmp(response->headers[i].name.at, name.at, name.len) == 0)
            return &response->headers[i];
    return NULL;
}

/* A line break in a value would begin a header of the client's choice. */
static struct str header_value(struct request *r, struct str value)
{
    char *copy = arena_alloc(r->arena, value.len + 1);

    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];

        copy[i] = ' ';
        if (c >= ' ' && c != 127)
            copy[i] = value.at[i];
    }
    return (struct str){ copy, value.len };
}

/* Cookies may come more than once; another header's later value replaces the earlier. */
void reply_header(struct request *r, const char *name, struct str value)
{
    struct response *response = r->response;
    struct response_header *old = NULL;

    if (strcasecmp(name, "Set-Cookie") != 0)
        old = find(response, response->header_count, str_from(name));

    if (!old) {
        assert(response->header_count < RESPONSE_HEADERS_MAX);
        old = &response->headers[response->header_count++];
    }
    *old = (struct response_header){ str_from(name), header_value(r, value) };
}

void response_defaults(struct response *response, const struct response_header *headers,
                       size_t count)
{
    const size_t own = response->header_count;

    assert(own + count <= RESPONSE_HEADERS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!find(response, own, headers[i].name))
            response->headers[response->header_count++] = headers[i];
}

bool response_has(struct response *response, const char *name)
{
    return find(response, response->header_count, str_from(name));
}

/* If-None-Match compares weakly (RFC 9110 13.1.2). */
bool etag_known(struct str list, struct str etag)
{
    struct str tag;

    while (str_split(&tag, &list, ',')) {
        tag = str_trim(tag);
        if (str_starts(tag, STR("W/")))
            tag = str_slice(tag, 2, tag.len);
        if (str_is(tag, "*") || str_eq(tag, etag))
            return true;
    }
    return false;
}

enum result refuse_with(struct request *r, struct refusal refusal)
{
    r->refusal = refusal;
    return refusal.result;
}

int error_status(enum result result, int version)
{
    const struct error_row *row = error_row(result);
    bool validation = strcmp(row->code_v2, "validation_error") == 0;

    if (validation && (row->status == 400 || row->status == 422))
        return version == 2 ? 422 : 400;
    return row->status;
}

static void member(struct buf *body, const char *key, struct str text)
{
    if (!text.at)
        return;
    buf_json_key(body, str_from(key));
    buf_json_str(body, text);
}

static void write_error(struct buf *body, const struct request *r, const struct refusal *why)
{
    const struct error_row *row = error_row(why->result);

    buf_char(body, '{');
    member(body, "error", why->message);
    member(body, "code", str_from(r->version == 2 ? row->code_v2 : row->code));
    member(body, "message", why->message);
    member(body, "field", why->field);
    if (why->details.text.at) {
        buf_json_key(body, STR("details"));
        buf_str(body, why->details.text);
    }
    member(body, "suggestion", why->suggestion);
    member(body, "trace_id", r->trace_id);
    if (why->retry_after_s) {
        buf_json_key(body, STR("retry_after"));
        buf_json_int(body, why->retry_after_s);
    }
    if (why->use_playground) {
        buf_json_key(body, STR("use_playground"));
        buf_str(body, STR("true"));
    }
    buf_char(body, '}');
}

/* What a failure of ours says in production is for the log alone (http.md 6.3). */
static struct refusal masked(struct refusal why, const struct error_row *row)
{
    log_event(row->level, "failed", "error", row->name, "reason", log_str(why.message));
    if (!setting_production())
        return why;
    return (struct refusal){ .result = why.result,
                             .message = STR("Internal server error"),
                             .retry_after_s = why.retry_after_s };
}

void response_refuse(struct request *r)
{
    struct refusal why = r->refusal;
    const struct error_row *row = error_row(why.result);
    struct buf *body = arena_buf(r->arena);
    int status = error_status(why.result, r->version);

    if (!why.message.at)
        why.message = str_from(row->message);
    if ((status == 429 || status == 503) && !why.retry_after_s)
        why.retry_after_s = 1;
    if (status >= 500 && status != 501)
        why = masked(why, row);
    write_error(body, r, &why);
    if (why.retry_after_s)
        reply_header(r, "Retry-After", arena_int(r->arena, why.retry_after_s));
    if (status == 401)
        reply_header(r, "WWW-Authenticate", STR("Bearer realm=\"aragora\""));
    enum result done = reply_text(r, status, JSON_TYPE, buf_view(body));
    assert(done == DONE);
    (void)done;
}

/* Each answer has some thirty lines: formatting them took a quarter of a short request's time, so
 * the room is there before. */
static void add(struct buf *out, struct str text)
{
    memcpy(out->at + out->len, text.at, text.len);
    out->len += text.len;
}

static void head_line(struct buf *out, struct str name, struct str value)
{
    buf_reserve(out, name.len + value.len + 4);
    add(out, name);
    add(out, STR(": "));
    if (value.len)
        add(out, value);
    add(out, STR("\r\n"));
}

static void head_number(struct buf *out, struct str name, int64_t value)
{
    char text[INT_TEXT];

    head_line(out, name, (struct str){ text, int_text(text, value) });
}

void response_head(struct buf *out, const struct response *response)
{
    buf_reserve(out, HEAD_BYTES);
    head_number(out, STR("Status"), response->status);
    if (response->type)
        head_line(out, STR("Content-Type"), str_from(response->type));
    if (response->status != 204 && response->status != 304)
        head_number(out, STR("Content-Length"), (int64_t)response->body.len);
    for (size_t i = 0; i < response->header_count; i++)
        head_line(out, response->headers[i].name, response->headers[i].value);
    buf_str(out, STR("\r\n"));
}
