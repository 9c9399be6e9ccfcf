/* lighttpd.c - everything goes to the workers, which decide by the route table (pitfalls,
 * lighttpd 1, 2 and 4).
 *
 * No access log: query strings may hold tokens. Control bytes in a URL are let through, because
 * the worker refuses them with an answer of the API's own form. Ranges are the worker's too:
 * lighttpd 1.4.69 loses the part that it cuts out of an answer which it keeps in a file.
 *
 * What it refuses itself, before a worker sees it or because none answers, has the API's form too,
 * from one file for each status. */
#include "cli/web_server.h"

#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/tls.h"

/* More than any route takes, so that the worker refuses a body in the API's own form. */
#define BODY_ROOM_KB 1024
/* Less than the supervisor waits before it kills. */
#define GRACE_S 12

/* lighttpd's strings have no escape for all of these. */
static bool can_be_quoted(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] == '"' || s.at[i] == '\\' || s.at[i] == '\n' || s.at[i] == '\r')
            return false;
    return true;
}

const char *reachable_host(const char *host)
{
    if (strcmp(host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

/* /ws and below go to the stream daemon, as WebSockets. Without disable-time, who reconnects after
 * its death is sent away for two seconds, while it is back in a tenth of one. */
static struct str stream_lines(struct arena *arena, const struct web_server *server)
{
    if (!server->stream_port)
        return STR("");
    struct str backend =
        server->certificate
            ? arena_printf(arena, "\"socket\" => \"" STR_FMT "\"", STR_ARG(server->stream_socket))
            : arena_printf(arena, "\"host\" => \"%s\", \"port\" => %d",
                           reachable_host(server->host), server->stream_port);
    return arena_printf(arena,
                        "$HTTP[\"url\"] =~ \"^/ws(/|$)\" {\n"
                        "  fastcgi.server = ()\n"
                        "  proxy.server = (\"\" => ((" STR_FMT ",\n"
                        "    \"disable-time\" => 0)))\n"
                        "  proxy.header = (\"upgrade\" => \"enable\")\n"
                        "}\n",
                        STR_ARG(backend));
}

static struct str tls_lines(struct arena *arena, const struct web_server *server)
{
    if (!server->certificate)
        return STR("");
    return arena_printf(arena,
                        "server.modules += (\"mod_openssl\")\n"
                        "ssl.engine = \"enable\"\n"
                        "ssl.pemfile = \"%s\"\n"
                        "ssl.privkey = \"%s\"\n"
                        "ssl.openssl.ssl-conf-cmd = (\"MinProtocol\" => \"TLSv1.2\",\n"
                        "  \"CipherString\" => \"" TLS_CIPHERS "\")\n",
                        server->certificate, server->key);
}

/* The rows of errors.def whose words its own refusals have. */
static const struct {
    int status;
    enum result result;
} refusals[] = {
    { 400, ERR_BAD_REQUEST }, { 408, ERR_BODY_SLOW },   { 413, ERR_BODY_TOO_LARGE },
    { 417, ERR_BAD_REQUEST }, { 431, ERR_HEADERS },     { 500, ERR_INTERNAL },
    { 502, ERR_UNAVAILABLE }, { 503, ERR_UNAVAILABLE }, { 504, ERR_TIMEOUT },
};

static enum result write_refusals(struct arena *arena, const struct web_server *server)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        const struct error_row *row = error_row(refusals[i].result);
        struct str path = arena_printf(arena, STR_FMT "/run/error-%d.html", STR_ARG(server->data),
                                       refusals[i].status);

        TRY(file_write(arena, path,
                       arena_printf(arena,
                                    "{\"error\":\"%s\",\"code\":\"%s\",\"message\":\"%s\"%s}",
                                    row->message, row->code, row->message,
                                    refusals[i].status == 503 ? ",\"retry_after\":1" : ""),
                       0600));
    }
    return OK;
}

enum result lighttpd_configure(struct arena *arena, struct str path,
                               const struct web_server *server)
{
    struct str host = str_from(server->host);
    bool six = memchr(host.at, ':', host.len) != NULL;

    if (!can_be_quoted(host) || !can_be_quoted(server->data) ||
        !can_be_quoted(str_from(server->certificate)) || !can_be_quoted(str_from(server->key)))
        return ERR_VALIDATION;
    TRY(write_refusals(arena, server));
    struct str text =
        arena_printf(arena,
                     "# Written by aragora serve at each start.\n"
                     "server.modules = (\"mod_proxy\", \"mod_fastcgi\")\n"
                     "server.document-root = \"/nonexistent\"\n"
                     "server.bind = \"%s%s%s\"\n"
                     "server.port = %d\n"
                     "server.errorlog = \"" STR_FMT "/log/lighttpd.log\"\n"
                     "server.max-request-size = %lld\n"
                     "server.errorfile-prefix = \"" STR_FMT "/run/error-\"\n"
                     "mimetype.assign = (\".html\" => \"application/json\")\n"
                     "server.range-requests = \"disable\"\n"
                     "server.feature-flags = (\"server.graceful-shutdown-timeout\" => \"%d\")\n"
                     "server.http-parseopts = (\"url-ctrls-reject\" => \"disable\",\n"
                     "  \"url-invalid-utf8-reject\" => \"disable\")\n" STR_FMT STR_FMT
                     "fastcgi.server = (\"/\" => ((\"socket\" => \"" STR_FMT "\",\n"
                     "  \"check-local\" => \"disable\", \"fix-root-scriptname\" => \"enable\")))\n",
                     six ? "[" : "", server->host, six ? "]" : "", server->port,
                     STR_ARG(server->data), (long long)server->body_bytes / 1024 + BODY_ROOM_KB,
                     STR_ARG(server->data), GRACE_S, STR_ARG(tls_lines(arena, server)),
                     STR_ARG(stream_lines(arena, server)), STR_ARG(server->socket));
    return file_write(arena, path, text, 0600);
}
