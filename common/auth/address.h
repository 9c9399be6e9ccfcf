/* address.h - whose address a request comes from, behind proxies (http.md 8). */
#ifndef ARAGORA_ADDRESS_H
#define ARAGORA_ADDRESS_H

#include "common/base/base.h"

/* Does the setting name this address as a proxy of ours? */
bool proxy_trusted(struct str address);
/* peer, or, if it is a proxy of ours, the last item of X-Forwarded-For that is none: what stands
 * left of it is the client's own word. Borrowed from the arguments. */
struct str forwarded_address(struct str peer, struct str forwarded_for);

#endif
