/* span.c - what tells of a request in its trace (http.md 9): a span of its own and one of its
 * handler; what the database does is told below them by common/db.
 *
 * Probes and files have none. The query stays out: it can hold tokens. */
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/trace/trace.h"
#include "fcgi/pipeline.h"

#define AGENT_CHARACTERS 200

enum result stage_span(struct request *r)
{
    if (!trace_on)
        return OK;
    if (r->route->limit == LIMIT_NONE)
        r->trace.sampled = false;
    span_current_set(&r->trace);
    return OK;
}

static struct str method_name(const struct request *r)
{
    return exchange_param(exchange_of(r), "REQUEST_METHOD");
}

static int status_of(const struct request *r, enum result result)
{
    return result == DONE ? r->response->status : error_row(result)->status;
}

static void add_status(struct span *span, struct arena *arena, int status)
{
    span_int(span, "http.status_code", status);
    if (status >= 400)
        span_fail(span, arena_printf(arena, "HTTP %d", status));
}

/* "handlers/debates/debates.c" is of "debates". */
static struct str family(const struct route *route)
{
    const char *slash = strrchr(route->file, '/');
    struct str name = str_from(slash ? slash + 1 : route->file);

    return str_ends(name, STR(".c")) ? str_slice(name, 0, name.len - 2) : name;
}

void handler_span_begin(struct span *span, struct request *r)
{
    struct str name;

    span->recorded = span->entered = false;
    if (!trace_on)
        return;
    span_begin(span, SPAN_INTERNAL, &r->trace, "", STR_NONE);
    if (!span->recorded)
        return;
    name = family(r->route);
    span_name(span,
              arena_cstr(r->arena, arena_printf(r->arena, "handler." STR_FMT ".%s", STR_ARG(name),
                                                r->route->id)),
              STR_NONE);
    span_str(span, "handler.name", name);
    span_str(span, "handler.method", method_name(r));
    span_enter(span);
}

void handler_span_end(struct span *span, struct request *r, enum result result)
{
    if (!span->recorded)
        return;
    add_status(span, r->arena, status_of(r, result));
    span_double(span, "handler.duration_ms",
                (double)(monotonic_us() - span->started_us) / (double)US_PER_MS);
    span_end(span);
}

static struct str user_agent(const struct request *r)
{
    struct str agent = header(r, "user-agent");

    return str_is_text(agent) ? str_cut(agent, AGENT_CHARACTERS) : agent;
}

static void describe(struct span *span, struct request *r)
{
    struct str path = r->route ? str_from(r->route->path) : STR_NONE;
    struct str method = method_name(r);

    /* By the route, so that requests of one kind have one name. */
    span_name(span, r->method < METHOD_COUNT ? arena_cstr(r->arena, method) : "HTTP", path);
    span_str(span, "service", STR("aragora-api"));
    span_str(span, "http.method", method);
    span_str(span, "http.path", r->path);
    span_str(span, "http.target", r->path);
    span_str(span, "http.route", path);
    span_str(span, "net.peer.ip", r->address);
    span_str(span, "http.user_agent", user_agent(r));
    span_str(span, "aragora.request_id", r->request_id);
    span_str(span, "aragora.trace_id", r->trace_id);
    span_str(span, "aragora.span_id", r->span_id);
    span_str(span, "aragora.parent_span_id", r->parent_span);
    add_status(span, r->arena, r->response->status);
}

void request_span(struct request *r)
{
    unsigned char parent[SPAN_ID_BYTES];
    bool is_root = !span_id_read(parent, r->parent_span);
    struct span span;

    span_current_set(NULL);
    if (!r->trace.sampled || (!r->route && !str_starts(r->path, STR("/api/"))))
        return;
    span_begin_as(&span, SPAN_SERVER, &r->trace, is_root ? NULL : parent, r->received_us);
    describe(&span, r);
    span_end(&span);
}
