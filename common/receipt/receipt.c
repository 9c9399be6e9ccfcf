/* receipt.c - receipts are built, signed and checked.
 *
 * The document has exactly the members of the tables below: a member that a reader does not
 * know could say something that the reader does not show. It is accepted in canonical form only,
 * so that "the same receipt" means the same bytes.
 *
 * Elsewhere: what the tables mean (shape.c), the canonical form (jcs.c), the keys (key.c). */
#include "common/receipt/receipt.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/receipt/jcs.h"
#include "common/receipt/shape.h"

#include <assert.h>

static const struct shape consensus_members[] = {
    { "judge", SHAPE_TEXT, .optional = true },
    { "method", SHAPE_TEXT },
    { "reached", SHAPE_FLAG },
    { "strength", SHAPE_TEXT, .nullable = true },
    { 0 },
};

static const struct shape absence_members[] = {
    { "agent", SHAPE_TEXT },
    { "phase", SHAPE_TEXT },
    { "reason", SHAPE_TEXT },
    { 0 },
};

static const struct shape participant_members[] = {
    { "agent", SHAPE_TEXT },
    { "model", SHAPE_TEXT, .nullable = true },
    { "provider", SHAPE_TEXT, .nullable = true },
    { 0 },
};

static const struct shape text_members[] = {
    { "agent", SHAPE_TEXT },
    { "kind", SHAPE_TEXT },
    { "round", SHAPE_COUNT },
    { "sha256", SHAPE_DIGEST },
    { 0 },
};

static const struct shape receipt_members[] = {
    { "absent", SHAPE_LIST, absence_members, .optional = true },
    { "confidence", SHAPE_UNIT },
    { "consensus", SHAPE_OBJECT, consensus_members },
    { "created_at", SHAPE_TIME },
    { "debate_id", SHAPE_TEXT },
    { "demo", SHAPE_FLAG },
    { "final_answer_sha256", SHAPE_DIGEST, .nullable = true },
    { "participants", SHAPE_LIST, participant_members },
    { "position", SHAPE_COUNT },
    { "prev_hash", SHAPE_DIGEST },
    { "receipt_id", SHAPE_TEXT },
    { "schema", SHAPE_TEXT },
    { "task_sha256", SHAPE_DIGEST },
    { "texts", SHAPE_LIST, text_members },
    { "verdict", SHAPE_TEXT },
    { 0 },
};

static const struct shape signature_members[] = {
    { "alg", SHAPE_TEXT },
    { "digest", SHAPE_DIGEST },
    { "key_id", SHAPE_TEXT },
    { "signature", SHAPE_TEXT },
    { 0 },
};

/* Exactly these members, each as its row says. */
static bool members_fit(struct arena *arena, struct json_object *object,
                        const struct shape *members)
{
    return shape_fits(NULL, arena, object, members, false);
}

static void add_text(struct buf *out, struct str name, struct str text)
{
    buf_json_key(out, name);
    if (text.at)
        buf_json_str(out, text);
    else
        buf_str(out, STR("null"));
}

static void add_flag(struct buf *out, struct str name, bool value)
{
    buf_json_key(out, name);
    buf_str(out, value ? STR("true") : STR("false"));
}

static void add_integer(struct buf *out, struct str name, int64_t value)
{
    buf_json_key(out, name);
    buf_json_int(out, value);
}

static void add_consensus(struct buf *out, const struct receipt_facts *facts)
{
    buf_json_key(out, STR("consensus"));
    buf_char(out, '{');
    if (facts->consensus.judge.at)
        add_text(out, STR("judge"), facts->consensus.judge);
    add_text(out, STR("method"), facts->consensus.method);
    add_flag(out, STR("reached"), facts->consensus.reached);
    add_text(out, STR("strength"), facts->consensus.strength);
    buf_char(out, '}');
}

static void add_participants(struct buf *out, struct list participants)
{
    const struct receipt_participant *all = participants.at;

    buf_json_key(out, STR("participants"));
    buf_char(out, '[');
    for (size_t i = 0; i < participants.count; i++) {
        buf_json_comma(out);
        buf_char(out, '{');
        add_text(out, STR("agent"), all[i].agent);
        add_text(out, STR("model"), all[i].model);
        add_text(out, STR("provider"), all[i].provider);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static void add_absent(struct buf *out, struct list absent)
{
    const struct receipt_absence *all = absent.at;

    buf_json_key(out, STR("absent"));
    buf_char(out, '[');
    for (size_t i = 0; i < absent.count; i++) {
        buf_json_comma(out);
        buf_char(out, '{');
        add_text(out, STR("agent"), all[i].agent);
        add_text(out, STR("phase"), all[i].phase);
        add_text(out, STR("reason"), all[i].reason);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static void add_texts(struct buf *out, struct list texts)
{
    const struct receipt_text *all = texts.at;

    buf_json_key(out, STR("texts"));
    buf_char(out, '[');
    for (size_t i = 0; i < texts.count; i++) {
        buf_json_comma(out);
        buf_char(out, '{');
        add_text(out, STR("agent"), all[i].agent);
        add_text(out, STR("kind"), all[i].kind);
        add_integer(out, STR("round"), all[i].round);
        add_text(out, STR("sha256"), all[i].sha256);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

struct str receipt_text_digest(struct arena *arena, struct str salt, struct str text)
{
    CLEANUP(buf_free) struct buf salted = { 0 };
    unsigned char raw[RECEIPT_SALT_BYTES];

    if (!text.at)
        return STR_NONE;
    if (hex_bytes(raw, sizeof(raw), salt))
        buf_add(&salted, raw, sizeof(raw));
    buf_str(&salted, text);
    return sha256_hex(arena, buf_view(&salted));
}

static void add_facts(struct buf *out, struct arena *arena, const struct receipt_facts *facts)
{
    char time[UTC_TEXT];
    size_t len = facts->created_at.us ? utc_text_z(time, facts->created_at) : 0;

    buf_char(out, '{');
    add_absent(out, facts->absent);
    buf_json_key(out, STR("confidence"));
    buf_json_double(out, facts->confidence);
    add_consensus(out, facts);
    add_text(out, STR("created_at"), (struct str){ time, len });
    add_text(out, STR("debate_id"), facts->debate_id);
    add_flag(out, STR("demo"), facts->is_demo);
    add_text(out, STR("final_answer_sha256"),
             receipt_text_digest(arena, facts->answer_salt, facts->final_answer));
    add_participants(out, facts->participants);
    add_integer(out, STR("position"), facts->position);
    add_text(out, STR("prev_hash"), facts->prev_hash);
    add_text(out, STR("receipt_id"), facts->receipt_id);
    add_text(out, STR("schema"), STR(RECEIPT_SCHEMA));
    add_text(out, STR("task_sha256"), receipt_text_digest(arena, facts->task_salt, facts->task));
    add_texts(out, facts->texts);
    add_text(out, STR("verdict"), facts->verdict);
    buf_char(out, '}');
}

static struct json_object *signature_object(struct arena *arena, const struct receipt *receipt)
{
    struct json_object *object = json_object_new_object();
    const struct {
        const char *name;
        struct str value;
    } rows[] = {
        { "alg", STR("Ed25519") },
        { "digest", receipt->digest },
        { "key_id", receipt->key_id },
        { "signature", receipt->signature },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        json_object_object_add(object, rows[i].name,
                               json_object_new_string(arena_cstr(arena, rows[i].value)));
    return object;
}

/* Signs the bytes that stand in signed_text, then puts the signature among the members. */
static enum result receipt_sign(struct receipt *out, struct arena *arena,
                                struct json_object *object, struct str signed_text,
                                const struct receipt_key *key)
{
    CLEANUP(buf_free) struct buf document = { 0 };
    unsigned char signature[SIGNATURE_BYTES];
    struct receipt receipt;

    TRY(receipt_key_sign(signature, key, signed_text));
    receipt.digest = sha256_hex(arena, signed_text);
    receipt.signature = base64_text(arena, signature, sizeof(signature));
    receipt.key_id = arena_str(arena, str_from(receipt_key_public(key)->key_id));
    json_object_object_add(object, "signature", signature_object(arena, &receipt));
    TRY(jcs_write(&document, object));
    receipt.document = arena_str(arena, buf_view(&document));
    *out = receipt;
    return OK;
}

enum result receipt_build(struct receipt *out, struct arena *arena,
                          const struct receipt_facts *facts, const struct receipt_key *key)
{
    CLEANUP(buf_free) struct buf draft = { 0 }, signed_text = { 0 };
    struct json_object *object;

    assert(key);
    add_facts(&draft, arena, facts);
    /* Read back, the facts pass the very check that a verifier makes. */
    if (json_parse(&object, arena, buf_view(&draft), &json_limits_wide, NULL) != OK ||
        !members_fit(arena, object, receipt_members))
        return ERR_VALIDATION;
    TRY(jcs_write(&signed_text, object));
    return receipt_sign(out, arena, object, buf_view(&signed_text), key);
}

static void report(struct receipt_report *out, enum receipt_outcome outcome, struct str reason)
{
    out->outcome = outcome;
    out->reason = reason;
}

static bool document_read(struct json_object **out, struct receipt_report *result,
                          struct arena *arena, struct str document)
{
    CLEANUP(buf_free) struct buf canonical = { 0 };
    struct json_fault fault = { 0 };
    struct json_object *object;

    if (json_parse(&object, arena, document, &json_limits_wide, &fault) != OK) {
        report(result, RECEIPT_MALFORMED,
               arena_printf(arena, "This is not JSON, from byte %zu on.", fault.at));
        return false;
    }
    if (!json_object_is_type(object, json_type_object)) {
        report(result, RECEIPT_MALFORMED, STR("This is not a JSON object."));
        return false;
    }
    if (jcs_write(&canonical, object) != OK || !str_eq(buf_view(&canonical), document)) {
        report(result, RECEIPT_MALFORMED, STR("The text is not in canonical form (RFC 8785)."));
        return false;
    }
    *out = object;
    return true;
}

/* The signature member, copied out of the document. */
struct claim {
    struct str key_id, digest;
    unsigned char signature[SIGNATURE_BYTES];
};

static bool claim_read(struct claim *out, struct arena *arena, struct json_object *object)
{
    struct str alg = STR_NONE, key_id = STR_NONE, digest = STR_NONE, text = STR_NONE;

    if (!members_fit(arena, object, signature_members) || !json_get_str(&alg, object, "alg") ||
        !json_get_str(&key_id, object, "key_id") || !json_get_str(&digest, object, "digest") ||
        !json_get_str(&text, object, "signature"))
        return false;
    if (!str_is(alg, "Ed25519") || !is_key_id(key_id))
        return false;
    if (!receipt_signature_parse(out->signature, arena, text))
        return false;
    out->key_id = arena_str(arena, key_id);
    out->digest = arena_str(arena, digest);
    return true;
}

static void claim_check(struct receipt_report *out, struct arena *arena, const struct claim *claim,
                        struct str signed_text, const struct receipt_public_key *key)
{
    if (!str_eq(sha256_hex(arena, signed_text), claim->digest)) {
        report(out, RECEIPT_FAILED, STR("The content does not match its digest."));
    } else if (!key) {
        report(out, RECEIPT_UNPROVEN,
               STR("The digest matches, but no trusted key was given to check the signature."));
    } else {
        bool named = str_is(claim->key_id, key->key_id);
        bool signer = receipt_public_key_verify(key, signed_text, claim->signature) == OK;

        if (named && signer)
            report(out, RECEIPT_VERIFIED, STR("The trusted key signed this receipt."));
        else if (named)
            report(out, RECEIPT_FAILED, STR("The signature does not verify with the trusted key."));
        else if (signer)
            report(out, RECEIPT_FAILED,
                   STR("The trusted key signed this receipt, but it names another key."));
        else
            report(out, RECEIPT_UNPROVEN,
                   arena_printf(arena, "It is signed by " STR_FMT "; the trusted key is %s.",
                                STR_ARG(claim->key_id), key->key_id));
    }
}

void receipt_verify(struct receipt_report *out, struct arena *arena, struct str document,
                    const struct receipt_public_key *key)
{
    CLEANUP(buf_free) struct buf signed_text = { 0 };
    struct json_object *object, *signature = NULL;
    struct str schema, receipt_id;
    struct claim claim = { 0 };

    *out = (struct receipt_report){ 0 };
    if (!document_read(&object, out, arena, document))
        return;
    bool is_signed = json_object_object_get_ex(object, "signature", &signature);
    if (is_signed && !claim_read(&claim, arena, signature)) {
        report(out, RECEIPT_MALFORMED, STR("The signature is not of the expected form."));
        return;
    }
    json_object_object_del(object, "signature");
    if (!members_fit(arena, object, receipt_members) || !json_get_str(&schema, object, "schema") ||
        !str_is(schema, RECEIPT_SCHEMA) || !json_get_str(&receipt_id, object, "receipt_id") ||
        !json_get_bool(&out->is_demo, object, "demo") || jcs_write(&signed_text, object) != OK) {
        report(out, RECEIPT_MALFORMED, STR("This is not a receipt of schema " RECEIPT_SCHEMA "."));
        return;
    }
    out->receipt_id = arena_str(arena, receipt_id);
    out->digest = claim.digest;
    out->key_id = claim.key_id;
    if (is_signed)
        claim_check(out, arena, &claim, buf_view(&signed_text), key);
    else
        report(out, RECEIPT_UNPROVEN, STR("The receipt is not signed."));
}

struct str receipt_digest(struct arena *arena, struct str document)
{
    CLEANUP(buf_free) struct buf signed_text = { 0 };
    struct json_object *object;

    if (json_parse(&object, arena, document, &json_limits_wide, NULL) != OK ||
        !json_object_is_type(object, json_type_object))
        return STR_NONE;
    json_object_object_del(object, "signature");
    return jcs_write(&signed_text, object) == OK ? sha256_hex(arena, buf_view(&signed_text))
                                                 : STR_NONE;
}
