#include "common/receipt/chain.h"

#include "common/base/buf.h"
#include "common/base/crypto.h"
#include "common/base/field.h"
#include "common/receipt/jcs.h"
#include "common/receipt/shape.h"

static const struct field entry_out[] = {
    { FIELD(struct chain_facts, digest) },
    { FIELD(struct chain_facts, kind) },
    { FIELD(struct chain_facts, new_key_id) },
    { FIELD(struct chain_facts, new_public_key) },
    { FIELD(struct chain_facts, odr_digest) },
    { FIELD(struct chain_facts, odr_digest_v01) },
    { FIELD(struct chain_facts, odr_signature) },
    { FIELD(struct chain_facts, odr_signature_v01) },
    { FIELD(struct chain_facts, old_key_id) },
    { FIELD(struct chain_facts, old_public_key) },
    { FIELD(struct chain_facts, position) },
    { FIELD(struct chain_facts, prev_hash) },
    { FIELD(struct chain_facts, signatures) },
    { FIELD(struct chain_facts, subject) },
    { 0 },
};

enum result chain_entry_write(struct chain_entry *out, struct arena *arena,
                              const struct chain_facts *facts)
{
    CLEANUP(buf_free) struct buf json = { 0 };
    struct chain_entry entry;

    fields_write(&json, facts, entry_out);
    TRY(jcs_text(&entry.body, arena, buf_view(&json)));
    TRY(chain_hash(&entry.hash, arena, entry.body));
    *out = entry;
    return OK;
}

static enum result sign(struct str *out, struct arena *arena, const struct receipt_key *key,
                        struct str message)
{
    unsigned char signature[SIGNATURE_BYTES];

    TRY(receipt_key_sign(signature, key, message));
    *out = base64_text(arena, signature, sizeof(signature));
    return OK;
}

enum result chain_rotation_write(struct chain_entry *out, struct arena *arena,
                                 const struct chain_facts *facts, const struct receipt_key *old_key,
                                 const struct receipt_key *new_key)
{
    const struct receipt_public_key *old_public = receipt_key_public(old_key);
    const struct receipt_public_key *new_public = receipt_key_public(new_key);
    struct chain_facts whole = *facts;
    struct chain_entry unsigned_entry;
    struct str by_old, by_new;

    whole.kind = STR("key_rotation");
    whole.subject = whole.new_key_id = str_from(new_public->key_id);
    whole.old_key_id = str_from(old_public->key_id);
    whole.new_public_key = receipt_public_key_pem(arena, new_public);
    whole.old_public_key = receipt_public_key_pem(arena, old_public);
    TRY(chain_entry_write(&unsigned_entry, arena, &whole));
    TRY(sign(&by_old, arena, old_key, unsigned_entry.body));
    TRY(sign(&by_new, arena, new_key, unsigned_entry.body));
    whole.signatures.text = arena_printf(arena, "{\"new\":\"" STR_FMT "\",\"old\":\"" STR_FMT "\"}",
                                         STR_ARG(by_new), STR_ARG(by_old));
    return chain_entry_write(out, arena, &whole);
}

enum result chain_line(struct buf *out, struct arena *arena, const struct chain_entry *entry)
{
    struct json_object *object;

    TRY(json_parse(&object, arena, entry->body, &json_limits_wide, NULL));
    json_object_object_add(object, "hash",
                           json_object_new_string_len(entry->hash.at, (int)entry->hash.len));
    TRY(jcs_write(out, object));
    buf_char(out, '\n');
    return OK;
}

enum result chain_hash(struct str *out, struct arena *arena, struct str entry)
{
    CLEANUP(buf_free) struct buf canonical = { 0 };
    struct json_object *object;
    struct str prev_hash;

    TRY(json_parse(&object, arena, entry, &json_limits_wide, NULL));
    if (!json_get_str(&prev_hash, object, "prev_hash") || !is_lower_hex(prev_hash, SHA256_HEX))
        return ERR_VALIDATION;
    json_object_object_del(object, "hash");
    TRY(jcs_write(&canonical, object));
    *out = sha256_hex(arena, buf_view(&canonical));
    return OK;
}
