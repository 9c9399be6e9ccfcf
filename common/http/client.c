/* client.c - calls over one curl multi handle.
 *
 * curl keeps the connections; limits, redirects and addresses are judged here. HTTP/1.1 only:
 * with one call per connection, ending a call closes the connection at once, and whoever
 * generates text at its other end sees that. */
#include "common/http/client.h"

#include "common/base/clock.h"
#include "common/http/address.h"
#include "common/http/trust.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <unistd.h>

struct http_client {
    CURLM *multi;
    struct arena *arena;
    const char *proxy, *no_proxy, *ca_file;
    X509_STORE *trust;       /* NULL: no call used TLS yet */
    struct http_call *calls; /* running */
};

struct http_call {
    struct http_client *client;
    struct http_call *next; /* running */
    struct arena *arena;
    struct http_request request;
    CURL *easy;
    struct curl_slist *headers;
    const char *url;
    enum http_reach reach; /* of the hop */
    bool foreign;          /* the hop is to another origin than the request */
    bool blocked;          /* an address of the hop was refused */
    int hops;
    struct buf body; /* arrived, not yet read */
    size_t received;
    int64_t started_us, byte_us; /* monotonic; of the last byte */
    struct utc first_byte;
    int status;
    enum http_state state;
    enum http_fault fault;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;

static void start_curl(void)
{
    ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

static const char *kept(struct arena *arena, struct str s)
{
    return s.len ? arena_cstr(arena, s) : NULL;
}

enum result http_client_new(struct http_client **out, const struct http_config *config)
{
    pthread_once(&once, start_curl);
    CURLM *multi = ready ? curl_multi_init() : NULL;
    if (!multi)
        return ERR_SYSTEM;
    struct arena *arena = arena_new();
    struct http_client *client = arena_alloc(arena, sizeof(*client));
    *client = (struct http_client){ .multi = multi,
                                    .arena = arena,
                                    .proxy = kept(arena, config->proxy),
                                    .no_proxy = kept(arena, config->no_proxy),
                                    .ca_file = kept(arena, config->ca_file) };
    *out = client;
    return OK;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    curl_multi_cleanup(client->multi);
    X509_STORE_free(client->trust);
    arena_free(client->arena);
}

/* --- One hop ----------------------------------------------------------------------------- */

/* Takes the hop off curl, which closes its connection unless the answer was complete. */
static void hop_end(struct http_call *call)
{
    if (!call->easy)
        return;
    curl_multi_remove_handle(call->client->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    call->easy = NULL;
    call->headers = NULL;
}

static void call_stop(struct http_call *call, enum http_fault fault)
{
    struct http_call **at = &call->client->calls;

    while (*at && *at != call)
        at = &(*at)->next;
    if (*at)
        *at = call->next;
    call->fault = fault;
    call->state = fault == HTTP_NO_FAULT ? HTTP_DONE : HTTP_FAILED;
    if (fault != HTTP_NO_FAULT)
        hop_end(call); /* a finished one keeps its handle: it holds the headers */
}

static size_t take_body(char *at, size_t size, size_t count, void *arg)
{
    struct http_call *call = arg;
    size_t len = size * count;

    call->received += len;
    if (call->request.limits.bytes && call->received > call->request.limits.bytes) {
        call->fault = HTTP_TOO_LARGE;
        return CURL_WRITEFUNC_ERROR;
    }
    call->byte_us = monotonic_us();
    if (!call->first_byte.us)
        call->first_byte = utc_now();
    buf_add(&call->body, at, len);
    return len;
}

static bool may_reach(const struct http_call *call, const struct sockaddr *address)
{
    switch (call->reach) {
    case HTTP_OPERATOR:
        return true;
    case HTTP_LOOPBACK:
        return address_is_loopback(address);
    case HTTP_PUBLIC:
        break;
    }
    return address_is_public(address);
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_call *call = arg;

    (void)purpose;
    if (!may_reach(call, &address->addr)) {
        call->blocked = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Instead of what curl would load, for this connection alone. */
static CURLcode set_trust(CURL *easy, void *context, void *arg)
{
    struct http_client *client = ((struct http_call *)arg)->client;

    (void)easy;
    if (!client->trust)
        client->trust = trust_store(client->ca_file);
    if (!client->trust)
        return CURLE_SSL_CACERT_BADFILE;
    SSL_CTX_set1_cert_store(context, client->trust);
    return CURLE_OK;
}

static bool add_header(struct http_call *call, const char *name, struct str value)
{
    struct str line =
        value.len ? arena_printf(call->arena, "%s: " STR_FMT, name, STR_ARG(value))
                  : arena_printf(call->arena, "%s:", name); /* keeps curl from sending its own */

    if (strpbrk(line.at, "\r\n"))
        return false;
    struct curl_slist *longer = curl_slist_append(call->headers, line.at);
    if (!longer)
        abort();
    call->headers = longer;
    return true;
}

static bool add_headers(struct http_call *call)
{
    const struct http_header *header = call->request.headers;

    if (!add_header(call, "Expect", STR_NONE) || !add_header(call, "Accept", STR("*/*")))
        return false;
    for (size_t i = 0; i < HTTP_HEADERS_MAX && header[i].name; i++)
        if (!(header[i].secret && call->foreign) &&
            !add_header(call, header[i].name, header[i].value))
            return false;
    return true;
}

static bool names_loopback(CURLU *url)
{
    char *host = NULL;
    bool loopback = curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                    (strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
                     strcmp(host, "[::1]") == 0);

    curl_free(host);
    return loopback;
}

/* A proxy would connect for us, unchecked, so only the operator's own addresses take it. Set also
 * when there is none: curl would read the environment. */
static void set_proxy(struct http_call *call, CURLU *url)
{
    const struct http_client *client = call->client;
    bool proxied = client->proxy && call->reach == HTTP_OPERATOR && !names_loopback(url);

    curl_easy_setopt(call->easy, CURLOPT_PROXY, proxied ? client->proxy : "");
    curl_easy_setopt(call->easy, CURLOPT_NOPROXY, client->no_proxy ? client->no_proxy : "");
}

static void set_transport(struct http_call *call)
{
    CURL *easy = call->easy;

    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* ending a call waits for no name server */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "aragora");
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    if (call->reach != HTTP_OPERATOR) { /* no connection that was opened under another check */
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, set_trust);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, call);
    if (call->request.limits.connect_us)
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)(call->request.limits.connect_us / US_PER_MS));
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

static void set_method(struct http_call *call)
{
    const struct http_request *request = &call->request;

    if (strcmp(request->method, "GET") == 0) {
        curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
        return;
    }
    curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, request->body.at ? request->body.at : "");
    curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
}

static void free_url(CURLU **url)
{
    curl_url_cleanup(*url);
}

/* Absolute, of a scheme that we speak, with a host and without credentials. */
static bool url_is_fit(CURLU *url, const char *text)
{
    char *user = NULL, *scheme = NULL;
    bool fit = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
               curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
               (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
               curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;

    curl_free(user);
    curl_free(scheme);
    return fit;
}

static void hop_start(struct http_call *call)
{
    CLEANUP(free_url) CURLU *url = curl_url();

    call->blocked = false;
    if (!url_is_fit(url, call->url)) {
        call_stop(call, HTTP_BAD_REQUEST);
        return;
    }
    call->easy = curl_easy_init();
    if (!call->easy)
        abort();
    if (!add_headers(call)) {
        call_stop(call, HTTP_BAD_REQUEST);
        return;
    }
    curl_easy_setopt(call->easy, CURLOPT_URL, call->url);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    set_transport(call);
    set_proxy(call, url);
    set_method(call);
    if (curl_multi_add_handle(call->client->multi, call->easy) != CURLM_OK)
        call_stop(call, HTTP_NO_CONNECTION);
}

/* --- Redirects --------------------------------------------------------------------------- */

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *one = NULL, *other = NULL;
    bool same = curl_url_get(a, part, &one, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(b, part, &other, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                strcasecmp(one, other) == 0;

    curl_free(one);
    curl_free(other);
    return same;
}

static bool same_origin(CURLU *a, CURLU *b)
{
    return same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) &&
           same_part(a, b, CURLUPART_PORT);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool scheme_falls(CURLU *from, CURLU *to)
{
    char *before = NULL, *after = NULL;
    bool falls = curl_url_get(from, CURLUPART_SCHEME, &before, 0) == CURLUE_OK &&
                 curl_url_get(to, CURLUPART_SCHEME, &after, 0) == CURLUE_OK &&
                 strcmp(before, "https") == 0 && strcmp(after, "https") != 0;

    curl_free(before);
    curl_free(after);
    return falls;
}

/* call->url becomes the place that the answer names. */
static enum http_fault take_location(struct http_call *call, const char *location)
{
    CLEANUP(free_url) CURLU *from = curl_url();
    CLEANUP(free_url) CURLU *to = curl_url();
    char *text = NULL;

    if (!from || !to || curl_url_set(from, CURLUPART_URL, call->url, 0) != CURLUE_OK ||
        curl_url_set(to, CURLUPART_URL, call->url, 0) != CURLUE_OK ||
        curl_url_set(to, CURLUPART_URL, location, 0) != CURLUE_OK || scheme_falls(from, to) ||
        curl_url_get(to, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return HTTP_BAD_REQUEST;
    call->url = arena_cstr(call->arena, str_from(text));
    curl_free(text);
    if (same_origin(from, to))
        return HTTP_NO_FAULT;
    if (call->reach == HTTP_LOOPBACK)
        return HTTP_BLOCKED;
    call->foreign = true;
    call->reach = HTTP_PUBLIC;
    return HTTP_NO_FAULT;
}

static void redirect(struct http_call *call, const char *location)
{
    enum http_fault fault = call->hops++ == HTTP_REDIRECTS_MAX ? HTTP_TOO_MANY_REDIRECTS
                                                               : take_location(call, location);

    if (fault != HTTP_NO_FAULT) {
        call_stop(call, fault);
        return;
    }
    /* Only 307 and 308 keep the method of what is no GET (RFC 9110 15.4). */
    if (call->status < 307 && strcmp(call->request.method, "GET") != 0) {
        call->request.method = "GET";
        call->request.body = STR_NONE;
    }
    hop_end(call);
    buf_clear(&call->body);
    call->received = 0;
    call->first_byte = (struct utc){ 0 };
    call->byte_us = 0;
    call->status = 0;
    hop_start(call);
}

/* --- Calls ------------------------------------------------------------------------------- */

static void copy_request(struct http_call *call, const struct http_request *request)
{
    call->request = *request;
    call->request.body = arena_str(call->arena, request->body);
    for (size_t i = 0; i < HTTP_HEADERS_MAX && request->headers[i].name; i++)
        call->request.headers[i].value = arena_str(call->arena, request->headers[i].value);
    call->url = arena_cstr(call->arena, request->url);
    call->reach = request->reach;
}

struct http_call *http_start(struct http_client *client, const struct http_request *request)
{
    struct arena *arena = arena_new();
    struct http_call *call = arena_alloc(arena, sizeof(*call));

    call->client = client;
    call->arena = arena;
    call->started_us = monotonic_us();
    copy_request(call, request);
    call->next = client->calls;
    client->calls = call;
    hop_start(call);
    return call;
}

/* A limit that is over is due; INT64_MAX: none. */
static int64_t limit_due(const struct http_call *call, enum http_fault *fault)
{
    const struct http_limits *limits = &call->request.limits;
    int64_t due = INT64_MAX, at;

    if (limits->total_us) {
        due = call->started_us + limits->total_us;
        *fault = HTTP_LATE_END;
    }
    if (!call->byte_us && limits->first_byte_us) {
        at = call->started_us + limits->first_byte_us;
        if (at < due) {
            due = at;
            *fault = HTTP_LATE_FIRST_BYTE;
        }
    }
    if (call->byte_us && limits->between_us) {
        at = call->byte_us + limits->between_us;
        if (at < due) {
            due = at;
            *fault = HTTP_LATE_CHUNK;
        }
    }
    return due;
}

static enum http_fault fault_of(const struct http_call *call, CURLcode code)
{
    if (call->fault != HTTP_NO_FAULT) /* said by take_body() */
        return call->fault;
    switch (code) {
    case CURLE_OK:
        return HTTP_NO_FAULT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return HTTP_BAD_REQUEST;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_NO_NAME;
    case CURLE_COULDNT_CONNECT:
        return call->blocked ? HTTP_BLOCKED : HTTP_NO_CONNECTION;
    case CURLE_OPERATION_TIMEDOUT: /* the only limit that curl was given */
        return HTTP_LATE_CONNECTION;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        return HTTP_BAD_CERTIFICATE;
    default:
        return call->status || call->received ? HTTP_CUT : HTTP_NO_ANSWER;
    }
}

static void call_finished(struct http_call *call, CURLcode code)
{
    long status = 0;
    struct str location;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    call->status = (int)status;
    enum http_fault fault = fault_of(call, code);
    location = http_answer_header(call, "Location");
    if (fault == HTTP_NO_FAULT && is_redirect(call->status) && location.len)
        redirect(call, location.at);
    else
        call_stop(call, fault);
}

void http_advance(struct http_client *client)
{
    struct http_call *call, *next;
    enum http_fault fault = HTTP_NO_FAULT;
    int running, left;
    CURLMsg *message;

    curl_multi_perform(client->multi, &running);
    while ((message = curl_multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call_finished(call, message->data.result);
    }
    int64_t now_us = monotonic_us();
    for (call = client->calls; call; call = next) {
        next = call->next;
        if (limit_due(call, &fault) <= now_us)
            call_stop(call, fault);
    }
}

void http_wait(struct http_client *client, int64_t until_us)
{
    int64_t left_us = until_us - monotonic_us();

    if (left_us > 0)
        curl_multi_poll(client->multi, NULL, 0, (int)((left_us + US_PER_MS - 1) / US_PER_MS), NULL);
}

enum http_state http_read(struct http_call *call, struct buf *out)
{
    long status = 0;

    if (call->easy) {
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        call->status = (int)status;
    }
    /* What a redirect says is for nobody. */
    if (call->state == HTTP_RUNNING && is_redirect(call->status))
        return call->state;
    buf_str(out, buf_view(&call->body));
    buf_clear(&call->body);
    return call->state;
}

int64_t http_due_us(const struct http_call *call)
{
    enum http_fault fault;

    return call->state == HTTP_RUNNING ? limit_due(call, &fault) : INT64_MAX;
}

int http_status(const struct http_call *call)
{
    return call->status;
}

struct str http_answer_header(struct http_call *call, const char *name)
{
    struct curl_header *header;

    if (!call->easy ||
        curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return STR_NONE;
    return str_from(header->value);
}

enum http_fault http_fault(const struct http_call *call)
{
    return call->fault;
}

struct utc http_first_byte(const struct http_call *call)
{
    return call->first_byte;
}

void http_end(struct http_call *call)
{
    if (!call)
        return;
    if (call->state == HTTP_RUNNING)
        call_stop(call, HTTP_CUT);
    hop_end(call);
    buf_free(&call->body);
    arena_free(call->arena);
}

const char *http_fault_text(enum http_fault fault)
{
    static const char *const texts[] = {
        [HTTP_NO_FAULT] = "nothing went wrong",
        [HTTP_BAD_REQUEST] = "the address is not one that can be called",
        [HTTP_BLOCKED] = "the address may not be reached from here",
        [HTTP_NO_NAME] = "the host's name was not found",
        [HTTP_NO_CONNECTION] = "the connection was refused",
        [HTTP_BAD_CERTIFICATE] =
            "the server's certificate is not trusted; ARAGORA_CA_BUNDLE can name its authority",
        [HTTP_LATE_CONNECTION] = "no connection within the limit",
        [HTTP_LATE_FIRST_BYTE] = "the answer did not begin within the limit",
        [HTTP_LATE_CHUNK] = "the answer stopped arriving",
        [HTTP_LATE_END] = "the answer was not complete within the limit",
        [HTTP_TOO_LARGE] = "the answer was too large",
        [HTTP_TOO_MANY_REDIRECTS] = "too many redirects",
        [HTTP_NO_ANSWER] = "the connection ended without an answer",
        [HTTP_CUT] = "the connection ended inside the answer",
    };

    return texts[fault];
}

bool http_fault_is_early(enum http_fault fault)
{
    return fault == HTTP_NO_NAME || fault == HTTP_NO_CONNECTION || fault == HTTP_LATE_CONNECTION ||
           fault == HTTP_NO_ANSWER;
}
