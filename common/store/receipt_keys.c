#include "common/store/receipt_keys.h"

#include "common/base/buf.h"
#include "common/base/settings.h"
#include "common/store/meta.h"
#include "common/store/receipt_chain.h"

#include <stdio.h>
#include <unistd.h>

#define OLD_KEY "old_receipt_key:" /* and its id */

struct slot { /* where a kind of key stands */
    struct str meta;
    const char *file; /* without .pem */
};

static const struct slot slots[] = { { STR("receipt_key"), "keys/receipt" },
                                     { STR("demo_receipt_key"), "keys/demo-receipt" } };

static struct str key_path(struct arena *arena, const struct slot *slot)
{
    return data_path(arena, arena_printf(arena, "%s.pem", slot->file).at);
}

/* A name of its own for each key: a late move cannot take another rotation's file. */
static struct str next_path(struct arena *arena, const struct slot *slot,
                            const struct receipt_public_key *key)
{
    return data_path(arena, arena_printf(arena, "%s.%s.pem", slot->file, key->key_id).at);
}

static bool is_key(const struct receipt_key *key, const struct receipt_public_key *known)
{
    return memcmp(receipt_key_public(key)->raw, known->raw, sizeof(known->raw)) == 0;
}

/* Of several that move it one does; a crash leaves it to the next that looks. */
static void next_install(struct arena *arena, const struct slot *slot,
                         const struct receipt_public_key *key)
{
    (void)rename(next_path(arena, slot, key).at, key_path(arena, slot).at);
}

/* The private half of the key that the database knows. */
static enum result known_open(struct receipt_key **out, struct arena *arena,
                              const struct slot *slot, struct str pem)
{
    struct receipt_public_key known;
    struct receipt_key *key;

    TRY(receipt_public_key_parse(&known, pem));
    enum result result = receipt_key_open(&key, arena, key_path(arena, slot), false);
    if (result == ERR_SYSTEM)
        return result;
    if (result != OK || !is_key(key, &known)) {
        TRY(receipt_key_open(&key, arena, next_path(arena, slot, &known), false));
        if (!is_key(key, &known))
            return ERR_KEY;
        next_install(arena, slot, &known);
    }
    *out = key;
    return OK;
}

static enum result slot_open(struct receipt_key **out, struct arena *arena, struct db *db,
                             const struct slot *slot)
{
    struct receipt_key *key;
    struct str pem, before;
    enum result found = meta_find(&pem, db, slot->meta);

    if (found == ERR_NOT_FOUND) {
        TRY(receipt_key_open(&key, arena, key_path(arena, slot), true));
        found = meta_settle(&pem, db, slot->meta,
                            receipt_public_key_pem(arena, receipt_key_public(key)));
    }
    TRY(found);
    do { /* a rotation may come between the database and the file */
        enum result result = known_open(out, arena, slot, pem);

        if (result != ERR_KEY)
            return result;
        before = pem;
        TRY(meta_find(&pem, db, slot->meta));
    } while (!str_eq(pem, before));
    return ERR_KEY;
}

/* The setting, else the host of the public URL. */
static struct str issuer(void)
{
    struct str url = setting_str(SETTING_PUBLIC_URL), host, scheme = STR("://");
    size_t at;

    if (setting_str(SETTING_RECEIPT_ISSUER).len)
        return setting_str(SETTING_RECEIPT_ISSUER);
    if (!url.len || !str_find(&at, url, scheme))
        return STR_NONE;
    url = str_slice(url, at + scheme.len, url.len);
    (void)str_split(&host, &url, '/');
    /* IPv6 has colons of its own, in brackets. */
    struct str port = str_starts(host, STR("[")) ? STR("]:") : STR(":");
    if (str_find(&at, host, port))
        host = str_slice(host, 0, at + port.len - 1);
    return host.len ? host : STR_NONE;
}

enum result receipt_signers_open(struct receipt_signers *out, struct arena *arena, struct db *db)
{
    struct receipt_signers signers = { .issuer = issuer() };

    TRY(slot_open(&signers.real, arena, db, &slots[false]));
    TRY(slot_open(&signers.demo, arena, db, &slots[true]));
    *out = signers;
    return OK;
}

enum result receipt_signer(const struct receipt_key **out, struct db *db,
                           const struct receipt_signers *signers, bool demo)
{
    const struct receipt_key *opened = demo ? signers->demo : signers->real;
    struct receipt_public_key known;
    struct receipt_key *key;
    struct str pem;

    TRY(meta_find(&pem, db, slots[demo].meta));
    TRY(receipt_public_key_parse(&known, pem));
    if (is_key(opened, &known)) {
        *out = opened;
        return OK;
    }
    TRY(known_open(&key, db_arena(db), &slots[demo], pem));
    *out = key;
    return OK;
}

static enum result public_find(struct receipt_public_key *out, struct db *db, struct str meta)
{
    struct str pem;

    TRY(meta_find(&pem, db, meta));
    return receipt_public_key_parse(out, pem);
}

enum result receipt_key_find(struct receipt_public_key *out, struct db *db, struct str key_id)
{
    if (!key_id.at)
        return public_find(out, db, slots[false].meta);
    for (size_t i = 0; i < COUNT(slots); i++) {
        struct receipt_public_key key;
        enum result result = public_find(&key, db, slots[i].meta);

        if (result == OK && str_is(key_id, key.key_id)) {
            *out = key;
            return OK;
        }
        if (result != OK && result != ERR_NOT_FOUND)
            return result;
    }
    return public_find(out, db, arena_printf(db_arena(db), OLD_KEY STR_FMT, STR_ARG(key_id)));
}

/* --- Rotation ---------------------------------------------------------------------------- */

struct rotation {
    const struct slot *slot;
    struct receipt_key *old_key, *new_key;
};

struct organisation {
    struct str org_id;
};

static const struct field organisation_row[] = { { FIELD(struct organisation, org_id) }, { 0 } };

/* Into the chain of the session's organisation. */
static enum result rotation_tell(struct db *db, const struct rotation *rotation)
{
    struct chain_head head;
    struct chain_entry entry;

    TRY(receipt_chain_take(&head, db));
    TRY(chain_rotation_write(
        &entry, db_arena(db),
        &(struct chain_facts){ .position = head.position, .prev_hash = head.prev_hash },
        rotation->old_key, rotation->new_key));
    return receipt_chain_append(db, &head, STR("key_rotation"), &entry);
}

static enum result rotation_tell_all(struct db *db, const struct rotation *rotation)
{
    struct str before = db_org(db);
    struct arena *arena = db_arena(db);
    enum result result = OK;
    struct list all;

    TRY(db_all(&all, db_system(db), organisation_row, sizeof(struct organisation),
               "SELECT org_id FROM organizations UNION SELECT org_id FROM receipt_heads"
               " ORDER BY org_id",
               NO_BINDS));
    for (size_t i = 0; i < all.count && result == OK; i++) {
        db_use(db, arena, ((const struct organisation *)all.at)[i].org_id);
        result = rotation_tell(db, rotation);
    }
    db_use(db, arena, before);
    return result;
}

/* The row of the key in force is exchanged first: a second rotation waits for it. */
static enum result rotation_write(struct db *db, const struct rotation *rotation)
{
    const struct receipt_public_key *old_key = receipt_key_public(rotation->old_key);
    struct str old_pem = receipt_public_key_pem(db_arena(db), old_key);
    struct str new_pem =
        receipt_public_key_pem(db_arena(db), receipt_key_public(rotation->new_key));
    struct str kept;

    TRY(meta_replace(db, rotation->slot->meta, old_pem, new_pem));
    TRY(meta_settle(&kept, db, arena_printf(db_arena(db), OLD_KEY "%s", old_key->key_id), old_pem));
    return rotation_tell_all(db, rotation);
}

enum result receipt_key_rotate(struct receipt_public_key *out, struct db *db, bool demo)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct arena *arena = db_arena(db);
    struct rotation rotation = { .slot = &slots[demo] };

    TRY(slot_open(&rotation.old_key, arena, db, rotation.slot));
    TRY(receipt_key_new(&rotation.new_key, arena));
    const struct receipt_public_key *made = receipt_key_public(rotation.new_key);
    struct str next = next_path(arena, rotation.slot, made);
    TRY(receipt_key_store(arena, rotation.new_key, next));
    enum result result = tx_begin(&tx, db);
    if (result == OK)
        result = rotation_write(db, &rotation);
    if (result != OK) {
        (void)unlink(next.at);
        return result;
    }
    TRY(tx_commit(&tx)); /* on failure it may have come through: the file stays */
    next_install(arena, rotation.slot, made);
    *out = *made;
    return OK;
}
