/* apache.c - Apache with mod_fcgid, which starts and stops the workers itself.
 *
 * mod_fcgid gives its children an empty environment, so the settings travel in a file that only
 * the server's user can read. The pool has one size: a worker that has to be started while
 * clients wait makes them wait for whole seconds (pitfalls, mod_fcgid 6).
 *
 * %2F reaches the worker as it is, which refuses it; the path of /ws is the stream daemon's. */
#include "cli/web_server.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/settings.h"
#include "common/base/tls.h"

#define MODULES "/usr/lib/apache2/modules"
#define GRACE_S 12
#define IO_S    70   /* longer than any request may take */
#define ROOM_KB 1024 /* more than any route takes: the worker refuses it in the API's own form */

/* Apache's strings end at a quote, and a backslash may hide it. */
static bool can_be_quoted(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] == '"' || s.at[i] == '\\' || s.at[i] == '$' || s.at[i] == '%' ||
            (unsigned char)s.at[i] < 0x20)
            return false;
    return true;
}

/* All settings that are not the defaults; a line break cannot stand in a setting. */
static enum result write_settings(struct arena *arena, struct str path)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    buf_str(&text, STR("# Written by aragora serve at each start, for the workers.\n"));
    for (enum setting i = 0; i < SETTING_COUNT; i++)
        if (setting_given(i) && i != SETTING_CONFIG && i != SETTING_OPEN_MODE)
            buf_printf(&text, "%s=\"%s\"\n", setting_row(i)->name, setting_cstr(i));
    return file_write(arena, path, buf_view(&text), 0600);
}

static void load_module(struct buf *out, const char *name)
{
    buf_printf(out, "LoadModule %s_module " MODULES "/mod_%s.so\n", name, name);
}

static void add_modules(struct buf *out, const struct web_server *server)
{
    static const char *const modules[] = { "mpm_event",  "authz_core",     "proxy",
                                           "proxy_http", "proxy_wstunnel", "fcgid" };

    for (size_t i = 0; i < COUNT(modules); i++)
        load_module(out, modules[i]);
    if (server->certificate)
        load_module(out, "ssl");
}

static void add_server(struct buf *out, const struct web_server *server)
{
    bool six = strchr(server->host, ':') != NULL;

    buf_printf(out,
               "ServerName \"%s\"\n"
               "Listen %s%s%s:%d\n"
               "PidFile \"" STR_FMT "/run/apache.pid\"\n"
               "ErrorLog \"" STR_FMT "/log/apache.log\"\n"
               "Mutex \"file:" STR_FMT "/run\" default\n"
               "DocumentRoot \"" STR_FMT "/run/empty\"\n"
               "ServerTokens Prod\n"
               "TraceEnable Off\n"
               "AllowEncodedSlashes NoDecode\n"
               "GracefulShutdownTimeout %d\n"
               "LimitRequestBody %lld\n",
               server->host, six ? "[" : "", server->host, six ? "]" : "", server->port,
               STR_ARG(server->data), STR_ARG(server->data), STR_ARG(server->data),
               STR_ARG(server->data), GRACE_S, (long long)server->body_bytes + ROOM_KB * 1024LL);
}

static void add_tls(struct buf *out, const struct web_server *server)
{
    if (server->certificate)
        buf_printf(out,
                   "SSLEngine on\n"
                   "SSLCertificateFile \"%s\"\n"
                   "SSLCertificateKeyFile \"%s\"\n"
                   "SSLProtocol -all +TLSv1.2 +TLSv1.3\n"
                   "SSLCipherSuite \"" TLS_CIPHERS "\"\n",
                   server->certificate, server->key);
}

static struct str stream_backend(struct arena *arena, const struct web_server *server)
{
    if (server->certificate)
        return arena_printf(arena, "unix:" STR_FMT "|http://localhost",
                            STR_ARG(server->stream_socket));
    return arena_printf(arena, "http://%s:%d", reachable_host(server->host), server->stream_port);
}

static void add_workers(struct buf *out, struct arena *arena, const struct web_server *server,
                        struct str settings)
{
    const char *open_mode = setting_cstr(SETTING_OPEN_MODE);

    buf_printf(out,
               "FcgidIPCDir \"" STR_FMT "/run/fcgid\"\n"
               "FcgidProcessTableFile \"" STR_FMT "/run/fcgid.table\"\n"
               "FcgidInitialEnv ARAGORA_CONFIG \"" STR_FMT "\"\n",
               STR_ARG(server->data), STR_ARG(server->data), STR_ARG(settings));
    if (*open_mode)
        buf_printf(out, "FcgidInitialEnv %s \"%s\"\n", setting_row(SETTING_OPEN_MODE)->name,
                   open_mode);
    buf_printf(out,
               "FcgidMinProcessesPerClass %lld\n"
               "FcgidMaxProcessesPerClass %lld\n"
               "FcgidMaxProcesses %lld\n"
               "FcgidSpawnScoreUpLimit 1000\n"
               "FcgidMaxRequestsPerProcess 0\n"
               "FcgidIdleTimeout 0\n"
               "FcgidProcessLifeTime 0\n"
               "FcgidIOTimeout %d\n"
               "FcgidBusyTimeout %d\n"
               "FcgidMaxRequestLen %lld\n"
               "<Location \"/\">\n"
               "  SetHandler fcgid-script\n"
               "  FcgidWrapper \"" STR_FMT "\" virtual\n"
               "  Options +ExecCGI\n"
               "  CGIPassAuth On\n"
               "  Require all granted\n"
               "</Location>\n",
               (long long)server->workers, (long long)server->workers, (long long)server->workers,
               IO_S, IO_S, (long long)server->body_bytes + ROOM_KB * 1024LL,
               STR_ARG(server->worker));
    if (server->stream_port)
        buf_printf(out,
                   "<Location \"/ws\">\n"
                   "  SetHandler none\n"
                   "</Location>\n"
                   "ProxyPass \"/ws\" \"" STR_FMT "/ws\" upgrade=websocket timeout=360 retry=0\n",
                   STR_ARG(stream_backend(arena, server)));
}

enum result apache_configure(struct arena *arena, struct str path, const struct web_server *server)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    struct str settings = arena_printf(arena, STR_FMT "/run/worker.conf", STR_ARG(server->data));

    if (!can_be_quoted(str_from(server->host)) || !can_be_quoted(server->data) ||
        !can_be_quoted(server->worker) || !can_be_quoted(str_from(server->certificate)) ||
        !can_be_quoted(str_from(server->key)))
        return ERR_VALIDATION;
    TRY(write_settings(arena, settings));
    TRY(directory_make(arena, arena_printf(arena, STR_FMT "/run/fcgid", STR_ARG(server->data)),
                       0700));
    TRY(directory_make(arena, arena_printf(arena, STR_FMT "/run/empty", STR_ARG(server->data)),
                       0700));
    buf_str(&text, STR("# Written by aragora serve at each start.\n"));
    add_modules(&text, server);
    add_server(&text, server);
    add_tls(&text, server);
    add_workers(&text, arena, server, settings);
    return file_write(arena, path, buf_view(&text), 0600);
}
