#include "common/auth/server_token.h"

#include "common/base/crypto.h"
#include "common/base/settings.h"

/* Digests have one length, so the time tells nothing of the token's. */
bool server_token_is(struct str sent)
{
    unsigned char digest[SHA256_BYTES], good[SHA256_BYTES];
    struct str expected = setting_str(SETTING_API_TOKEN);

    if (!expected.len || !sent.at)
        return false;
    sha256(digest, sent.at, sent.len);
    sha256(good, expected.at, expected.len);
    return secret_eq((struct str){ (char *)digest, sizeof(digest) },
                     (struct str){ (char *)good, sizeof(good) });
}
