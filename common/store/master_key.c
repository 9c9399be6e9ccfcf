#include "common/store/master_key.h"

#include "common/base/crypto.h"
#include "common/base/file.h"
#include "common/base/settings.h"
#include "common/store/meta.h"

#include <openssl/crypto.h>

#define META_KEY   STR("master_key")
#define KEY_DIGITS (2 * (size_t)SEAL_KEY_BYTES)

static enum result key_load(struct seal_key *out, struct arena *arena, struct str path)
{
    struct str text;

    TRY(file_read(&text, arena, path, 1024));
    bool good = hex_bytes(out->bytes, SEAL_KEY_BYTES, str_trim(text));
    OPENSSL_cleanse((void *)text.at, text.len); /* ours alone: file_read() made it */
    return good ? OK : ERR_KEY;
}

/* Leaves the key in the file only, so that whoever lost the race reads the winner's. */
static enum result key_create(struct arena *arena, struct str path)
{
    unsigned char key[SEAL_KEY_BYTES];
    char text[KEY_DIGITS + 1];

    TRY(directory_make(arena, data_path(arena, "keys"), 0700));
    random_bytes(key, sizeof(key));
    hex_text(text, key, sizeof(key));
    text[KEY_DIGITS] = '\n';
    enum result result = file_create(arena, path, (struct str){ text, sizeof(text) }, 0600);
    OPENSSL_cleanse(key, sizeof(key));
    OPENSSL_cleanse(text, sizeof(text));
    return result == ERR_ALREADY_EXISTS ? OK : result;
}

static struct str fingerprint(struct arena *arena, const struct seal_key *key)
{
    struct seal_key print;

    seal_derive(&print, key, "fingerprint");
    return sha256_hex(arena, (struct str){ (const char *)print.bytes, sizeof(print.bytes) });
}

enum result master_key_open(struct seal_key *out, struct arena *arena, struct db *db)
{
    struct str path = data_path(arena, "keys/master.key"), known;
    enum result found = meta_find(&known, db, META_KEY);
    struct seal_key key;

    if (found != ERR_NOT_FOUND)
        TRY(found);
    enum result result = key_load(&key, arena, path);
    if (result == ERR_NOT_FOUND && found == ERR_NOT_FOUND) {
        TRY(key_create(arena, path));
        result = key_load(&key, arena, path);
    }
    if (result != OK)
        return result == ERR_NOT_FOUND ? ERR_KEY : result;
    struct str print = fingerprint(arena, &key);
    if (found == ERR_NOT_FOUND)
        TRY(meta_settle(&known, db, META_KEY, print));
    if (!str_eq(known, print))
        return ERR_KEY;
    *out = key;
    return OK;
}
