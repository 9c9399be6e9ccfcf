/* certificate.h - the certificate under which aragora serve is to speak TLS. */
#ifndef ARAGORA_CERTIFICATE_H
#define ARAGORA_CERTIFICATE_H

#include "common/base/arena.h"

/* *certificate and *key: absolute paths, or NULL where no TLS is wanted. false: said on standard
 * error what is wrong. What clients will complain of is said too. */
MUST_USE bool certificate_take(struct arena *arena, const char **certificate, const char **key);

#endif
