/* handshake.c - reading and writing the HTTP heads of a WebSocket upgrade.
 *
 * This is the strict subset of HTTP/1.1 that an upgrade needs, not a web server: lines end in
 * CRLF, there is no folding and no body, and a header that must be single may not come twice.
 * Proxies and we must read the same head, or one smuggles past the other (RFC 9112 11.2).
 *
 * Elsewhere: frames (frame.c); who may connect (the programs). */
#include "common/ws/handshake.h"

#include "common/base/crypto.h"

#include <assert.h>
#include <openssl/evp.h>

#define HEADERS_MAX 64
#define KEY_BYTES   16
#define SHA1_BYTES  20

#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

struct head {
    struct str start; /* request or status line */
    struct ws_header headers[HEADERS_MAX];
    size_t count, bytes;
};

/* Always REFUSED, so that a check can end with it. */
static enum ws_handshake refuse(struct ws_refusal *refusal, int status, const char *reason)
{
    *refusal = (struct ws_refusal){ status, reason };
    return WS_HANDSHAKE_REFUSED;
}

/* RFC 9110 5.6.2. */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.at[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!word && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0;
}

/* No control character but the tab, so no CR or LF either. */
static bool is_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_visible_ascii(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] > '~')
            return false;
    return true;
}

/* Takes the line before the next CRLF off *rest. */
static struct str line_take(struct str *rest)
{
    struct str line = *rest;
    size_t end;

    if (str_find(&end, *rest, STR("\r\n"))) {
        line = str_slice(*rest, 0, end);
        *rest = str_slice(*rest, end + 2, rest->len);
    } else {
        *rest = STR("");
    }
    return line;
}

/* White space before the colon and a folded line fail here: neither leaves a token. */
static bool header_read(struct ws_header *out, struct str line)
{
    struct str name, value;
    size_t colon;

    if (!str_find(&colon, line, STR(":")))
        return false;
    name = str_slice(line, 0, colon);
    value = str_trim(str_slice(line, colon + 1, line.len));
    if (!is_token(name) || !is_value(str_slice(line, colon + 1, line.len)))
        return false;
    *out = (struct ws_header){ name, value };
    return true;
}

/* Copies the head into the arena, so that the input buffer may go, and splits it. */
static enum ws_handshake head_read(struct head *out, struct ws_refusal *refusal,
                                   struct arena *arena, struct str input)
{
    struct str rest, start = str_slice(input, 0, WS_HEAD_BYTES);
    size_t end;

    if (!str_find(&end, start, STR("\r\n\r\n"))) {
        if (input.len >= WS_HEAD_BYTES)
            return refuse(refusal, 431, "Request head too large");
        return WS_HANDSHAKE_MORE;
    }
    rest = arena_str(arena, str_slice(input, 0, end));
    *out = (struct head){ .start = line_take(&rest), .bytes = end + 4 };
    while (rest.len) {
        if (out->count == HEADERS_MAX)
            return refuse(refusal, 431, "Too many headers");
        if (!header_read(&out->headers[out->count++], line_take(&rest)))
            return refuse(refusal, 400, "Malformed header");
    }
    return WS_HANDSHAKE_OK;
}

static size_t head_count(const struct head *head, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < head->count; i++)
        count += str_eq_nocase(head->headers[i].name, str_from(name));
    return count;
}

/* Every value of the name, joined as RFC 9110 5.3 says; absent if there is none. */
static struct str head_value(const struct head *head, const char *name, struct arena *arena)
{
    struct str joined = STR_NONE;

    for (size_t i = 0; i < head->count; i++) {
        const struct ws_header *header = &head->headers[i];

        if (!str_eq_nocase(header->name, str_from(name)))
            continue;
        joined = joined.at ? arena_printf(arena, STR_FMT ", " STR_FMT, STR_ARG(joined),
                                          STR_ARG(header->value))
                           : header->value;
    }
    return joined;
}

/* Takes the next item off a comma-separated list; empty items do not count. */
static bool item_take(struct str *item, struct str *rest)
{
    while (rest->len) {
        size_t comma = rest->len;

        if (!str_find(&comma, *rest, STR(",")))
            comma = rest->len;
        *item = str_trim(str_slice(*rest, 0, comma));
        *rest = str_slice(*rest, comma + 1, rest->len);
        if (item->len)
            return true;
    }
    return false;
}

static bool list_has(struct str list, struct str wanted, bool (*equal)(struct str, struct str))
{
    struct str item;

    while (item_take(&item, &list))
        if (equal(item, wanted))
            return true;
    return false;
}

static enum ws_handshake request_line_read(struct ws_request *out, struct ws_refusal *refusal,
                                           struct str line)
{
    struct str method, target, version;
    size_t space, mark;

    if (!str_find(&space, line, STR(" ")))
        return refuse(refusal, 400, "Malformed request line");
    method = str_slice(line, 0, space);
    line = str_slice(line, space + 1, line.len);
    if (!is_token(method) || !str_find(&space, line, STR(" ")))
        return refuse(refusal, 400, "Malformed request line");
    target = str_slice(line, 0, space);
    version = str_slice(line, space + 1, line.len);
    if (!str_starts(version, STR("HTTP/")) || !is_visible_ascii(version))
        return refuse(refusal, 400, "Malformed request line");
    if (!str_is(version, "HTTP/1.1"))
        return refuse(refusal, 505, "HTTP/1.1 is needed");
    if (!str_is(method, "GET"))
        return refuse(refusal, 405, "Only GET can open a WebSocket");
    if (!str_starts(target, STR("/")) || !is_visible_ascii(target) ||
        str_find(&mark, target, STR("#")))
        return refuse(refusal, 400, "Malformed request target");
    out->path = target;
    if (str_find(&mark, target, STR("?"))) {
        out->path = str_slice(target, 0, mark);
        out->query = str_slice(target, mark + 1, target.len);
    }
    return WS_HANDSHAKE_OK;
}

/* A head that two readers could understand in two ways is no head. */
static enum ws_handshake head_check(const struct head *head, struct ws_refusal *refusal,
                                    struct arena *arena)
{
    static const char *const single[] = {
        "Host",          "Origin", "Authorization", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
        "Content-Length"
    };

    for (size_t i = 0; i < COUNT(single); i++)
        if (head_count(head, single[i]) > 1)
            return refuse(refusal, 400, "A header that must be single came twice");
    if (!head_value(head, "Host", arena).len)
        return refuse(refusal, 400, "Host is missing");
    if (head_count(head, "Transfer-Encoding") ||
        (head_count(head, "Content-Length") &&
         !str_is(head_value(head, "Content-Length", arena), "0")))
        return refuse(refusal, 400, "An upgrade has no body");
    return WS_HANDSHAKE_OK;
}

/* 16 bytes of base64 are 22 characters and "==". */
static bool key_check(struct str key, struct arena *arena)
{
    struct bytes bytes;
    size_t at;

    return key.len == WS_KEY_TEXT - 1 && str_ends(key, STR("==")) &&
           !str_find(&at, key, STR("-")) && !str_find(&at, key, STR("_")) &&
           base64_bytes(&bytes, arena, key) && bytes.len == KEY_BYTES;
}

static enum ws_handshake upgrade_check(const struct head *head, struct ws_refusal *refusal,
                                       struct arena *arena)
{
    if (!list_has(head_value(head, "Upgrade", arena), STR("websocket"), str_eq_nocase))
        return refuse(refusal, 426, "This address speaks WebSocket only");
    if (!list_has(head_value(head, "Connection", arena), STR("upgrade"), str_eq_nocase))
        return refuse(refusal, 400, "Connection does not name Upgrade");
    if (!str_is(head_value(head, "Sec-WebSocket-Version", arena), "13"))
        return refuse(refusal, 426, "Only WebSocket version 13 is spoken");
    if (!key_check(head_value(head, "Sec-WebSocket-Key", arena), arena))
        return refuse(refusal, 400, "Sec-WebSocket-Key is not 16 bytes of base64");
    return WS_HANDSHAKE_OK;
}

/* False: an item is no token (4.1, point 10). */
static bool protocols_read(struct list *out, struct str text, struct arena *arena)
{
    struct str item, rest = text;
    struct list items = { 0 };
    struct str *at;

    while (item_take(&item, &rest))
        items.count++;
    items.at = at = arena_array(arena, items.count, sizeof(*at));
    while (item_take(&item, &text)) {
        if (!is_token(item))
            return false;
        *at++ = item;
    }
    *out = items;
    return true;
}

static struct list headers_keep(struct arena *arena, const struct head *head)
{
    struct ws_header *headers = arena_array(arena, head->count, sizeof(*headers));

    memcpy(headers, head->headers, head->count * sizeof(*headers));
    return (struct list){ headers, head->count };
}

enum ws_handshake ws_request_read(struct ws_request *out, struct ws_refusal *refusal,
                                  struct arena *arena, struct str input)
{
    struct ws_request request = { 0 };
    struct head head;
    enum ws_handshake step;

    if ((step = head_read(&head, refusal, arena, input)) != WS_HANDSHAKE_OK ||
        (step = request_line_read(&request, refusal, head.start)) != WS_HANDSHAKE_OK ||
        (step = head_check(&head, refusal, arena)) != WS_HANDSHAKE_OK ||
        (step = upgrade_check(&head, refusal, arena)) != WS_HANDSHAKE_OK)
        return step;
    if (!protocols_read(&request.protocols, head_value(&head, "Sec-WebSocket-Protocol", arena),
                        arena))
        return refuse(refusal, 400, "Malformed Sec-WebSocket-Protocol");
    request.host = head_value(&head, "Host", arena);
    request.origin = head_value(&head, "Origin", arena);
    request.authorization = head_value(&head, "Authorization", arena);
    request.forwarded_for = head_value(&head, "X-Forwarded-For", arena);
    request.key = head_value(&head, "Sec-WebSocket-Key", arena);
    request.headers = headers_keep(arena, &head);
    request.bytes = head.bytes;
    *out = request;
    return WS_HANDSHAKE_OK;
}

bool ws_request_has(const struct ws_request *request, struct str name)
{
    const struct ws_header *headers = request->headers.at;

    for (size_t i = 0; i < request->headers.count; i++)
        if (str_eq_nocase(headers[i].name, name))
            return true;
    return false;
}

bool ws_request_offers(const struct ws_request *request, struct str protocol)
{
    const struct str *items = request->protocols.at;

    for (size_t i = 0; i < request->protocols.count; i++)
        if (str_eq(items[i], protocol))
            return true;
    return false;
}

void ws_accept_text(char out[WS_ACCEPT_TEXT], struct str key)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    unsigned char hash[SHA1_BYTES];

    buf_str(&text, key);
    buf_str(&text, STR(ACCEPT_GUID));
    if (!EVP_Digest(text.at, text.len, hash, NULL, EVP_sha1(), NULL))
        abort(); /* a handshake that cannot be proven is no use to anyone */
    EVP_EncodeBlock((unsigned char *)out, hash, sizeof(hash));
}

void ws_request_accept(struct buf *out, const struct ws_request *request, struct str protocol)
{
    char accept[WS_ACCEPT_TEXT];

    assert(!protocol.at || ws_request_offers(request, protocol));
    ws_accept_text(accept, request->key);
    buf_printf(out,
               "HTTP/1.1 101 Switching Protocols\r\n"
               "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
               accept);
    if (protocol.at)
        buf_printf(out, "Sec-WebSocket-Protocol: " STR_FMT "\r\n", STR_ARG(protocol));
    buf_str(out, STR("\r\n"));
}

static const char *status_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 426, "Upgrade Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 503, "Service Unavailable" },
        { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < COUNT(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Refused";
}

void ws_request_refuse(struct buf *out, struct ws_refusal refusal)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\n", refusal.status, status_phrase(refusal.status));
    if (refusal.status == 426) /* RFC 9110 15.5.22, RFC 6455 4.4 */
        buf_str(out, STR("Connection: Upgrade, close\r\nUpgrade: websocket\r\n"
                         "Sec-WebSocket-Version: 13\r\n"));
    else
        buf_str(out, STR("Connection: close\r\n"));
    if (refusal.status == 405)
        buf_str(out, STR("Allow: GET\r\n"));
    buf_printf(out, "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s\n",
               strlen(refusal.reason) + 1, refusal.reason);
}

void ws_offer_key(struct ws_offer *offer)
{
    unsigned char bytes[KEY_BYTES];

    random_bytes(bytes, sizeof(bytes));
    EVP_EncodeBlock((unsigned char *)offer->key, bytes, sizeof(bytes));
}

static void header_add(struct buf *out, const char *name, struct str value)
{
    if (value.at)
        buf_printf(out, "%s: " STR_FMT "\r\n", name, STR_ARG(value));
}

enum result ws_offer_write(struct buf *out, const struct ws_offer *offer)
{
    struct str item, rest = offer->protocols;

    if (!str_starts(offer->target, STR("/")) || !is_visible_ascii(offer->target) ||
        !offer->host.len || !is_visible_ascii(offer->host) || !is_value(offer->origin) ||
        !is_value(offer->authorization) || !is_value(offer->protocols))
        return ERR_INVALID_VALUE;
    while (item_take(&item, &rest))
        if (!is_token(item))
            return ERR_INVALID_VALUE;
    buf_printf(out, "GET " STR_FMT " HTTP/1.1\r\n", STR_ARG(offer->target));
    header_add(out, "Host", offer->host);
    buf_printf(out,
               "Upgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
               offer->key);
    header_add(out, "Origin", offer->origin);
    header_add(out, "Authorization", offer->authorization);
    header_add(out, "Sec-WebSocket-Protocol", offer->protocols);
    buf_str(out, STR("\r\n"));
    return OK;
}

/* "HTTP/1.1 101 Switching Protocols"; 0: not that. */
static int status_read(struct str line)
{
    int64_t status;

    if (!str_starts(line, STR("HTTP/1.1 ")) || (line.len > 12 && line.at[12] != ' ') ||
        !str_int(&status, str_slice(line, 9, 12), 100, 599))
        return 0;
    return (int)status;
}

enum ws_handshake ws_answer_read(struct ws_answer *out, struct ws_refusal *refusal,
                                 struct arena *arena, struct str input,
                                 const struct ws_offer *offer)
{
    struct head head;
    struct str protocol;
    char accept[WS_ACCEPT_TEXT];
    enum ws_handshake step = head_read(&head, refusal, arena, input);

    if (step == WS_HANDSHAKE_REFUSED)
        return refuse(refusal, 0, "The server's answer is not HTTP/1.1");
    if (step != WS_HANDSHAKE_OK)
        return step;
    int status = status_read(head.start);
    if (status != 101)
        return refuse(refusal, status,
                      status ? "The server refused the WebSocket"
                             : "The server's answer is not HTTP/1.1");
    if (!list_has(head_value(&head, "Upgrade", arena), STR("websocket"), str_eq_nocase) ||
        !list_has(head_value(&head, "Connection", arena), STR("upgrade"), str_eq_nocase))
        return refuse(refusal, status, "The server did not upgrade to WebSocket");
    ws_accept_text(accept, str_from(offer->key));
    if (!str_is(head_value(&head, "Sec-WebSocket-Accept", arena), accept))
        return refuse(refusal, status, "Sec-WebSocket-Accept is wrong");
    if (head_value(&head, "Sec-WebSocket-Extensions", arena).len)
        return refuse(refusal, status, "The server chose an extension that was not offered");
    protocol = head_value(&head, "Sec-WebSocket-Protocol", arena);
    if (protocol.at && !list_has(offer->protocols, protocol, str_eq))
        return refuse(refusal, status, "The server chose a sub-protocol that was not offered");
    *out = (struct ws_answer){ protocol, head.bytes };
    return WS_HANDSHAKE_OK;
}
