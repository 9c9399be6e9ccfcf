/* open_mode.h - may a caller without a credential act as the local owner (decision 1)?
 *
 * aragora serve grants open mode to its children, in one private setting. Even then a request
 * counts only if it comes from a program of this machine, run by the server's user or by the one
 * who started it: no web page that a browser was lured to, no other account, no proxy that
 * speaks for others. A proxy of the same user cannot be told from that user. */
#ifndef ARAGORA_OPEN_MODE_H
#define ARAGORA_OPEN_MODE_H

#include "common/base/base.h"

#include <sys/types.h>

/* Asked for: by ARAGORA_AUTH_REQUIRED=false, or by ARAGORA_OFFLINE where that one is unset. */
bool open_mode_asked(void);
/* Do the settings let it be granted? Asked for, on loopback, without a server token. */
bool open_mode_possible(void);
/* Was it granted to this process? *starter: the user that started the server. */
bool open_mode_granted(uid_t *starter);

/* localhost, 127.0.0.0/8, ::1; no port, no brackets. */
bool loopback_host(struct str host);

/* Names in lower case of headers that a proxy adds; ends with NULL. */
extern const char *const open_mode_forwarding[];

/* What a request without a credential tells of its sender. */
struct open_caller {
    struct str host, origin; /* headers; STR_NONE: not sent */
    bool origin_named;       /* origin_named() of it */
    bool forwarded;          /* one of open_mode_forwarding was sent */
    bool peer_known;         /* peer_uid() told it */
    uid_t peer;
};

/* starter: from open_mode_granted(). */
bool open_mode_admits(const struct open_caller *caller, uid_t starter);

#endif
