/* chain_verify.c - a chain's file is read once for its hashes, and once more for its signatures,
 * since a later rotation may tell that an earlier key is to be trusted. */
#include "common/receipt/chain.h"

#include "common/base/buf.h"
#include "common/base/crypto.h"
#include "common/receipt/jcs.h"
#include "common/receipt/odr_form.h"

struct rotation {
    struct receipt_public_key old_key, new_key;
};

struct walk {
    struct chain_report *report;
    struct arena *arena;   /* the caller's */
    struct arena *scratch; /* of one line */
    struct str digest;
    char prev_hash[SHA256_HEX];
    struct buf rotations; /* of struct rotation */
    struct buf keys;      /* of struct receipt_public_key: the trusted */
};

typedef bool line_reader(struct walk *walk, struct json_object *entry, struct str line);

static bool fail(struct walk *walk, enum receipt_outcome outcome, const char *what)
{
    walk->report->outcome = outcome;
    walk->report->reason =
        arena_printf(walk->arena, "Entry %lld %s.", (long long)walk->report->entries, what);
    return false;
}

/* Lines without anything on them are passed over. */
static bool each_line(struct walk *walk, struct str file, line_reader *read)
{
    struct str line, rest = file;

    walk->report->entries = 0;
    while (str_split(&line, &rest, '\n')) {
        struct json_object *entry;

        line = str_trim(line);
        if (!line.len)
            continue;
        walk->report->entries++;
        arena_reset(walk->scratch);
        if (json_parse(&entry, walk->scratch, line, &json_limits_wide, NULL) != OK ||
            !json_object_is_type(entry, json_type_object))
            return fail(walk, RECEIPT_MALFORMED, "is not a JSON object");
        if (!read(walk, entry, line))
            return false;
    }
    return true;
}

/* --- Hashes, order, rotations ------------------------------------------------------------ */

static bool signed_by(struct walk *walk, struct json_object *signatures, const char *name,
                      const struct receipt_public_key *key, struct str message)
{
    unsigned char signature[SIGNATURE_BYTES];
    struct str text;

    return json_get_str(&text, signatures, name) &&
           receipt_signature_parse(signature, walk->scratch, text) &&
           receipt_public_key_verify(key, message, signature) == OK;
}

static bool key_read(struct receipt_public_key *out, struct json_object *entry, const char *pem,
                     const char *id)
{
    struct str text, key_id;

    return json_get_str(&text, entry, pem) && json_get_str(&key_id, entry, id) &&
           receipt_public_key_parse(out, text) == OK && str_is(key_id, out->key_id);
}

static bool read_rotation(struct walk *walk, struct json_object *entry)
{
    CLEANUP(buf_free) struct buf message = { 0 };
    struct json_object *signatures;
    struct rotation rotation;

    if (!key_read(&rotation.old_key, entry, "old_public_key", "old_key_id") ||
        !key_read(&rotation.new_key, entry, "new_public_key", "new_key_id") ||
        !json_get(&signatures, entry, "signatures"))
        return fail(walk, RECEIPT_FAILED, "names no keys that it exchanges");
    json_object_get(signatures);
    json_object_object_del(entry, "signatures");
    json_object_object_del(entry, "hash");
    bool good = jcs_write(&message, entry) == OK &&
                signed_by(walk, signatures, "old", &rotation.old_key, buf_view(&message)) &&
                signed_by(walk, signatures, "new", &rotation.new_key, buf_view(&message));
    json_object_put(signatures);
    if (!good)
        return fail(walk, RECEIPT_FAILED, "is not signed by the keys that it exchanges");
    buf_add(&walk->rotations, &rotation, sizeof(rotation));
    return true;
}

static bool holds_value(struct json_object *entry, struct str value)
{
    json_object_object_foreach(entry, name, member)
    {
        if (strcmp(name, "hash") != 0 && strcmp(name, "prev_hash") != 0 &&
            str_eq(json_str(member), value))
            return true;
    }
    return false;
}

/* Entries of other emitters may have no position. */
static bool position_fits(struct json_object *entry, int64_t position)
{
    struct json_object *told;

    return !json_get(&told, entry, "position") ||
           (json_object_is_type(told, json_type_int) && json_object_get_int64(told) == position);
}

static bool read_links(struct walk *walk, struct json_object *entry, struct str line)
{
    struct str hash, prev_hash, kind, computed;

    if (!json_get_str(&hash, entry, "hash") || !json_get_str(&prev_hash, entry, "prev_hash"))
        return fail(walk, RECEIPT_FAILED, "has no hash or no prev_hash");
    if (!str_eq(prev_hash, (struct str){ walk->prev_hash, sizeof(walk->prev_hash) }))
        return fail(walk, RECEIPT_FAILED, "does not follow the entry before");
    if (chain_hash(&computed, walk->scratch, line) != OK || !str_eq(computed, hash))
        return fail(walk, RECEIPT_FAILED, "does not match its hash");
    if (!position_fits(entry, walk->report->entries))
        return fail(walk, RECEIPT_FAILED, "is not at its position");
    memcpy(walk->prev_hash, hash.at, sizeof(walk->prev_hash));
    if (walk->digest.at && holds_value(entry, walk->digest))
        walk->report->anchored = true;
    return !json_get_str(&kind, entry, "kind") || !str_is(kind, "key_rotation") ||
           read_rotation(walk, entry);
}

/* --- Signatures -------------------------------------------------------------------------- */

static const struct receipt_public_key *trusted(const struct walk *walk, struct str key_id)
{
    const struct receipt_public_key *keys = (const void *)walk->keys.at;

    for (size_t i = 0; i < walk->keys.len / sizeof(*keys); i++)
        if (str_is(key_id, keys[i].key_id))
            return &keys[i];
    return NULL;
}

static void trust(struct walk *walk, const struct receipt_public_key *key)
{
    if (!trusted(walk, str_from(key->key_id)))
        buf_add(&walk->keys, key, sizeof(*key));
}

/* Forwards from a key to those that followed, then backwards to those before. */
static void trust_rotated(struct walk *walk)
{
    const struct rotation *all = (const void *)walk->rotations.at;
    size_t count = walk->rotations.len / sizeof(*all);

    for (size_t i = 0; i < count; i++)
        if (trusted(walk, str_from(all[i].old_key.key_id)))
            trust(walk, &all[i].new_key);
    for (size_t i = count; i-- > 0;)
        if (trusted(walk, str_from(all[i].new_key.key_id)))
            trust(walk, &all[i].old_key);
}

static bool odr_signature_holds(struct walk *walk, enum odr_version version, struct str digest,
                                struct json_object *signature, const struct receipt_public_key *key)
{
    unsigned char raw[SIGNATURE_BYTES];
    struct str text, message;

    return json_get_str(&text, signature, "signature") &&
           receipt_signature_parse(raw, walk->scratch, text) &&
           odr_signed_message(&message, walk->scratch, version, digest, signature) == OK &&
           receipt_public_key_verify(key, message, raw) == OK;
}

static bool read_signatures(struct walk *walk, struct json_object *entry, struct str line)
{
    static const struct {
        const char *digest, *signature;
    } members[ODR_VERSIONS] = { [ODR_0_1] = { "odr_digest_v01", "odr_signature_v01" },
                                [ODR_0_2] = { "odr_digest", "odr_signature" } };
    const struct receipt_public_key *key = NULL;
    struct json_object *signature;
    struct str digest, key_id;

    (void)line;
    for (enum odr_version version = 0; version < ODR_VERSIONS; version++) {
        if (!json_get_str(&digest, entry, members[version].digest))
            continue;
        if (!json_get(&signature, entry, members[version].signature) ||
            !json_get_str(&key_id, signature, "key_id"))
            return fail(walk, RECEIPT_FAILED, "names a digest without a signature");
        key = trusted(walk, key_id);
        if (key && !odr_signature_holds(walk, version, digest, signature, key))
            return fail(walk, RECEIPT_FAILED, "has a signature that does not verify");
        if (version == ODR_0_2) {
            walk->report->vouched += key != NULL;
            walk->report->other += key == NULL;
        }
    }
    return true;
}

static void check(struct walk *walk, struct str file, const struct receipt_public_key *key)
{
    struct chain_report *report = walk->report;

    if (!each_line(walk, file, read_links))
        return;
    if (!report->entries) {
        report->outcome = RECEIPT_MALFORMED;
        report->reason = STR("The chain has no entry.");
        return;
    }
    report->outcome = RECEIPT_UNPROVEN;
    report->reason = STR("The chain holds together, but no trusted key was given.");
    if (!key)
        return;
    trust(walk, key);
    trust_rotated(walk);
    if (!each_line(walk, file, read_signatures))
        return;
    long long receipts = report->vouched + report->other;
    bool all = report->vouched && !report->other;
    report->outcome = all ? RECEIPT_VERIFIED : RECEIPT_UNPROVEN;
    report->reason =
        all ? STR("The chain holds together, and trusted keys signed its receipts.")
            : arena_printf(walk->arena,
                           "The chain holds together; trusted keys signed %lld of %lld receipts.",
                           (long long)report->vouched, receipts);
}

void chain_verify(struct chain_report *out, struct arena *arena, struct str file, struct str digest,
                  const struct receipt_public_key *key)
{
    CLEANUP(arena_cleanup) struct arena *scratch = arena_new();
    struct walk walk = { .report = out, .arena = arena, .scratch = scratch, .digest = digest };

    *out = (struct chain_report){ 0 };
    memcpy(walk.prev_hash, CHAIN_START, sizeof(walk.prev_hash));
    check(&walk, file, key);
    buf_free(&walk.rotations);
    buf_free(&walk.keys);
}

bool chain_is_file(struct arena *arena, struct str text)
{
    struct json_object *entry;
    struct str line, rest = text, value;

    (void)str_split(&line, &rest, '\n');
    return json_parse(&entry, arena, line, &json_limits_wide, NULL) == OK &&
           json_get_str(&value, entry, "hash") && json_get_str(&value, entry, "prev_hash");
}
