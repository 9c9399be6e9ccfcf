/* peer.c - the owner of a socket, from the kernel.
 *
 * Only an established socket that a process holds counts: one that was closed, or not yet
 * accepted, is listed under user 0, and the search for a connection that is gone may end at a
 * listener. */
#include "common/auth/peer.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEX_END     48 /* an address and a port, as the table writes them */
#define LINE_MAX    512
#define ESTABLISHED "01" /* TCP_ESTABLISHED, as the table writes it */

struct end {
    struct in6_addr at; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
};

static bool end_read(struct end *out, struct str address, int64_t port)
{
    char text[INET6_ADDRSTRLEN + 8];
    struct end end = { .port = (uint16_t)port };
    bool six = address.len && memchr(address.at, ':', address.len);
    int len = snprintf(text, sizeof(text), "%s" STR_FMT, six ? "" : "::ffff:", STR_ARG(address));

    if (port < 1 || port > UINT16_MAX || len >= (int)sizeof(text) ||
        inet_pton(AF_INET6, text, &end.at) != 1)
        return false;
    *out = end;
    return true;
}

static bool is_v4(const struct end *end)
{
    return IN6_IS_ADDR_V4MAPPED(&end->at);
}

static bool is_loopback(const struct end *end)
{
    return is_v4(end) ? end->at.s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(&end->at);
}

static enum result ends_read(struct end *peer, struct end *server, const struct peer *from)
{
    if (!end_read(peer, from->address, from->port) ||
        !end_read(server, from->server_address, from->server_port) || !is_loopback(peer) ||
        is_v4(peer) != is_v4(server))
        return ERR_NOT_FOUND;
    return OK;
}

static void diag_address(__be32 out[4], const struct end *end)
{
    size_t skip = is_v4(end) ? 12 : 0;

    memcpy(out, end->at.s6_addr + skip, sizeof(end->at) - skip);
}

struct question {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

static struct question question(const struct end *peer, const struct end *server)
{
    struct question ask = {
        .header = { .nlmsg_len = sizeof(ask),
                    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                    .nlmsg_flags = NLM_F_REQUEST },
        .body = { .sdiag_family = is_v4(peer) ? AF_INET : AF_INET6,
                  .sdiag_protocol = IPPROTO_TCP,
                  .idiag_states = 1U << TCP_ESTABLISHED,
                  .id = { .idiag_sport = htons(peer->port),
                          .idiag_dport = htons(server->port),
                          .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
    };

    diag_address(ask.body.id.idiag_src, peer);
    diag_address(ask.body.id.idiag_dst, server);
    return ask;
}

/* The answer is there when send() returns. The connected socket hears the kernel only. */
static enum result exchange(struct inet_diag_msg *out, int fd, const struct question *ask)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    union {
        struct nlmsghdr header;
        char bytes[8192];
    } answer;

    if (connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) != 0 ||
        send(fd, ask, sizeof(*ask), 0) != (ssize_t)sizeof(*ask))
        return ERR_SYSTEM;
    ssize_t len = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
    if (len < 0 || !NLMSG_OK(&answer.header, (size_t)len))
        return ERR_SYSTEM;
    if (answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
        answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(*out)))
        return ERR_SYSTEM; /* no such socket, or no such module: both are ENOENT */
    memcpy(out, NLMSG_DATA(&answer.header), sizeof(*out));
    return OK;
}

enum result peer_uid_asked(uid_t *out, const struct peer *from)
{
    struct end peer, server;
    struct inet_diag_msg found;

    TRY(ends_read(&peer, &server, from));
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return ERR_SYSTEM;
    struct question ask = question(&peer, &server);
    enum result result = exchange(&found, fd, &ask);
    close(fd);
    TRY(result);
    if (found.idiag_state != TCP_ESTABLISHED || !found.idiag_inode ||
        found.id.idiag_sport != ask.body.id.idiag_sport ||
        found.id.idiag_dport != ask.body.id.idiag_dport)
        return ERR_NOT_FOUND;
    *out = found.idiag_uid;
    return OK;
}

/* The table prints each 32 bits of an address as a number of this machine's byte order. */
static void hex_end(char out[HEX_END], const struct end *end, bool four)
{
    uint32_t words[4];

    memcpy(words, &end->at, sizeof(words));
    if (four)
        snprintf(out, HEX_END, "%08X:%04X", words[3], end->port);
    else
        snprintf(out, HEX_END, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3],
                 end->port);
}

/* "sl: LOCAL REMOTE STATE tx:rx tr:when retransmits uid timeout inode ..." (proc(5)) */
static bool line_matches(uid_t *out, const char *line, const char *local, const char *remote)
{
    char from[HEX_END], to[HEX_END], state[8], uid[16], inode[24];
    int64_t number;

    if (sscanf(line, " %*[0-9]: %47s %47s %7s %*s %*s %*s %15s %*s %23s", from, to, state, uid,
               inode) != 5 ||
        strcmp(from, local) != 0 || strcmp(to, remote) != 0 || strcmp(state, ESTABLISHED) != 0 ||
        strcmp(inode, "0") == 0 || !str_int(&number, str_from(uid), 0, UINT32_MAX))
        return false;
    *out = (uid_t)number;
    return true;
}

static enum result search(uid_t *out, const char *table, const struct end *peer,
                          const struct end *server, bool four)
{
    char local[HEX_END], remote[HEX_END], line[LINE_MAX];
    enum result result = ERR_NOT_FOUND;
    FILE *file = fopen(table, "re");

    if (!file)
        return ERR_SYSTEM;
    hex_end(local, peer, four);
    hex_end(remote, server, four);
    while (result != OK && fgets(line, sizeof(line), file))
        if (line_matches(out, line, local, remote))
            result = OK;
    (void)fclose(file); /* was only read */
    return result;
}

/* An IPv6 socket that talks IPv4 stands in the table of IPv6. */
enum result peer_uid_listed(uid_t *out, const struct peer *from)
{
    struct end peer, server;

    TRY(ends_read(&peer, &server, from));
    if (is_v4(&peer) && search(out, "/proc/net/tcp", &peer, &server, true) == OK)
        return OK;
    return search(out, "/proc/net/tcp6", &peer, &server, false);
}

enum result peer_uid(uid_t *out, const struct peer *peer)
{
    enum result result = peer_uid_asked(out, peer);

    return result == ERR_SYSTEM ? peer_uid_listed(out, peer) : result;
}
