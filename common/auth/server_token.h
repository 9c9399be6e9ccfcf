/* server_token.h - ARAGORA_API_TOKEN: the credential of the default organisation's owner. */
#ifndef ARAGORA_SERVER_TOKEN_H
#define ARAGORA_SERVER_TOKEN_H

#include "common/auth/principal.h"

/* In time that tells nothing of the token. false also when none is set. */
bool server_token_is(struct str sent);

#endif
