/* odr_verify.c - Open Decision Receipts, ours and other people's, are checked.
 *
 * Conformance first: what follows reads only members that are known to be there. Then what the
 * members say of each other, the digest, the signatures. */
#include "common/receipt/odr.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/receipt/odr_form.h"

#define WARNINGS_MAX 8

struct look { /* at one document */
    struct arena *arena;
    struct json_object *document;
    struct receipt_report *report;
    enum odr_version version;
    struct str fault; /* STR_NONE: none yet */
    struct str *warnings;
};

static void report(struct look *look, enum receipt_outcome outcome, struct str reason)
{
    look->report->outcome = outcome;
    look->report->reason = reason;
}

static void warn(struct look *look, struct str text)
{
    if (look->report->warnings.count < WARNINGS_MAX)
        look->warnings[look->report->warnings.count++] = text;
}

static struct json_object *member(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;

    return json_get(&value, object, name) ? value : NULL;
}

static struct str text_of(struct json_object *object, const char *name)
{
    return json_str(member(object, name));
}

static bool is_true(struct json_object *object, const char *name)
{
    return json_object_get_boolean(member(object, name));
}

static size_t length(struct json_object *array)
{
    return array ? json_object_array_length(array) : 0;
}

/* NULL: it is marked absent. */
static struct json_object *present_block(struct json_object *object, const char *name)
{
    struct json_object *block = member(object, name);

    return str_is(text_of(block, "status"), "present") ? block : NULL;
}

/* --- What the members say of each other -------------------------------------------------- */

static bool takes_part(struct json_object *quorum, struct str agent)
{
    struct json_object *all = member(quorum, "participants");

    for (size_t i = 0; i < length(all); i++)
        if (str_eq(text_of(json_object_array_get_idx(all, i), "agent"), agent))
            return true;
    return false;
}

/* names: an array of agents, or of objects whose member of that name is one. */
static void check_take_part(struct look *look, struct json_object *quorum,
                            struct json_object *names, const char *name)
{
    for (size_t i = 0; i < length(names) && !look->fault.at; i++) {
        struct json_object *item = json_object_array_get_idx(names, i);
        struct str agent = name ? text_of(item, name) : json_str(item);

        if (!takes_part(quorum, agent))
            look->fault = arena_printf(look->arena, STR_FMT " is no participant of the quorum.",
                                       STR_ARG(agent));
    }
}

static bool is_blocking(struct str severity)
{
    return str_is(severity, "P0") || str_is(severity, "P1");
}

static void check_findings(struct look *look, struct json_object *dissent)
{
    struct json_object *findings = member(dissent, "findings");
    struct str gravest = STR_NONE;

    if (!findings)
        return;
    for (size_t i = 0; i < length(findings); i++) {
        struct json_object *finding = json_object_array_get_idx(findings, i);
        struct str severity = text_of(finding, "severity");

        if (is_true(finding, "blocking") != is_blocking(severity))
            look->fault = STR("A finding is blocking exactly when it is P0 or P1.");
        if (!gravest.at || severity.at[1] < gravest.at[1])
            gravest = severity;
    }
    if (member(dissent, "severity_max") && !str_eq(text_of(dissent, "severity_max"), gravest))
        look->fault = STR("severity_max is not the gravest finding's.");
    if (member(dissent, "blocking") && is_true(dissent, "blocking") != is_blocking(gravest))
        look->fault = STR("The dissent is blocking exactly when a finding is.");
}

static bool holds_text(struct json_object *array, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(json_str(json_object_array_get_idx(array, i)), text))
            return true;
    return false;
}

static bool rule_is_met(struct json_object *rule, struct json_object *dissent)
{
    struct json_object *families = member(rule, "counted_families");
    int64_t distinct = 0;

    for (size_t i = 0; i < length(families); i++)
        if (!holds_text(families, i,
                        json_object_get_string(json_object_array_get_idx(families, i))))
            distinct++;
    if (is_true(rule, "requires_western_frontier") &&
        !holds_text(families, length(families), "claude") &&
        !holds_text(families, length(families), "openai"))
        return false;
    return distinct >= json_object_get_int64(member(rule, "required_signals")) &&
           !is_true(dissent, "present") && !length(member(dissent, "dissenting_agents"));
}

static void check_rule(struct look *look, struct json_object *quorum)
{
    struct json_object *rule = member(quorum, "rule");
    bool reached = is_true(quorum, "reached");

    if (!rule || rule_is_met(rule, member(quorum, "dissent")) == reached)
        return;
    /* A merge quorum has further conditions: its rule alone does not say that it is reached. */
    if (reached || !str_is(text_of(quorum, "method"), "merge-quorum"))
        warn(look, STR("The quorum's rule implies another outcome than the one recorded."));
}

static void check_quorum(struct look *look)
{
    struct json_object *quorum = present_block(look->document, "quorum");
    struct json_object *dissent = member(quorum, "dissent");

    if (!quorum) {
        warn(look, STR("No quorum is recorded."));
        return;
    }
    check_take_part(look, quorum, member(quorum, "supporting_agents"), NULL);
    check_take_part(look, quorum, member(dissent, "dissenting_agents"), NULL);
    check_take_part(look, quorum, member(quorum, "verdicts"), "issuer");
    check_findings(look, dissent);
    check_rule(look, quorum);
    if (json_object_get_int64(member(member(quorum, "independence"), "distinct_model_families")) <
        2)
        warn(look, STR("The agents are not known to be of more than one model family."));
}

/* Who decided cannot attest to it. */
static void check_attestation(struct look *look)
{
    struct json_object *attestation = member(look->document, "attestation");
    struct json_object *attestor = member(attestation, "attestor");
    struct str id = str_trim(text_of(attestor, "id"));
    struct str executor = str_trim(text_of(member(attestation, "execution_identity"), "id"));

    if (!str_is(text_of(attestation, "disposition"), "human_attested"))
        warn(look, STR("No person attested to the decision."));
    else if (!attestor)
        look->fault = STR("attestation.attestor: is missing");
    else if (id.len && str_eq_nocase(id, executor))
        look->fault = STR("The attestor is who executed the decision.");
}

static bool is_demo(struct json_object *document)
{
    struct json_object *all = member(member(document, "quorum"), "participants");

    for (size_t i = 0; i < length(all); i++)
        if (str_is(text_of(json_object_array_get_idx(all, i), "model_family"), "demo"))
            return true;
    return false;
}

/* --- Signatures -------------------------------------------------------------------------- */

struct tally {
    bool verified, failed, mislabelled;
    struct str key_id; /* of the first entry */
};

static bool signature_read(unsigned char out[SIGNATURE_BYTES], struct arena *arena, struct str text)
{
    return receipt_signature_parse(out, arena, text) || hex_bytes(out, SIGNATURE_BYTES, text);
}

static void warn_of_expiry(struct look *look, struct json_object *entry)
{
    struct str text = text_of(entry, "expires_at");
    struct utc expires;

    if (look->version == ODR_0_1) {
        if (text.at || member(entry, "issuer") || member(entry, "role"))
            warn(look, STR("The signature does not cover what is said of it (0.1)."));
    } else if (text.at && !utc_parse(&expires, text)) {
        warn(look, STR("The time when the signature expires cannot be read."));
    } else if (text.at && expires.us <= utc_now().us) {
        warn(look, STR("The signature has expired."));
    }
}

static void entry_check(struct tally *tally, struct look *look, struct json_object *entry,
                        const struct receipt_public_key *key)
{
    bool named = str_is(text_of(entry, "key_id"), key->key_id), signer = false;
    unsigned char signature[SIGNATURE_BYTES];
    struct str message;

    if (signature_read(signature, look->arena, text_of(entry, "signature")) &&
        odr_signed_message(&message, look->arena, look->version, look->report->digest, entry) == OK)
        signer = receipt_public_key_verify(key, message, signature) == OK;
    if (named && signer)
        warn_of_expiry(look, entry);
    tally->verified |= named && signer;
    tally->failed |= named && !signer;
    tally->mislabelled |= !named && signer;
}

static void signatures_check(struct look *look, const struct receipt_public_key *key)
{
    struct json_object *entries = member(look->document, "signatures");
    struct tally tally = { 0 };

    if (!length(entries)) {
        report(look, RECEIPT_UNPROVEN, STR("The receipt is not signed."));
        return;
    }
    look->report->key_id =
        arena_str(look->arena, text_of(json_object_array_get_idx(entries, 0), "key_id"));
    if (!key) {
        report(look, RECEIPT_UNPROVEN,
               STR("It conforms, but no trusted key was given to check the signature."));
        return;
    }
    for (size_t i = 0; i < length(entries); i++)
        entry_check(&tally, look, json_object_array_get_idx(entries, i), key);
    if (tally.failed)
        report(look, RECEIPT_FAILED, STR("The signature does not verify with the trusted key."));
    else if (tally.verified)
        report(look, RECEIPT_VERIFIED, STR("The trusted key signed this receipt."));
    else if (tally.mislabelled)
        report(look, RECEIPT_FAILED,
               STR("The trusted key signed this receipt, but it names another key."));
    else
        report(look, RECEIPT_FAILED, STR("The trusted key did not sign this receipt."));
}

/* --- The document ------------------------------------------------------------------------ */

static bool document_read(struct look *look, struct str text)
{
    struct json_fault fault = { 0 };
    struct str place = STR_NONE;

    if (json_parse(&look->document, look->arena, text, &json_limits_wide, &fault) != OK) {
        report(look, RECEIPT_MALFORMED,
               arena_printf(look->arena, "This is not JSON, from byte %zu on.", fault.at));
        return false;
    }
    bool old = str_is(text_of(look->document, "odr_version"), odr_versions[ODR_0_1]);
    look->version = old ? ODR_0_1 : ODR_0_2;
    if (!shape_fits(&place, look->arena, look->document, odr_members, look->version != ODR_0_1)) {
        report(look, RECEIPT_FAILED,
               arena_printf(look->arena, "It does not conform: " STR_FMT ".", STR_ARG(place)));
        return false;
    }
    if (!str_is(text_of(look->document, "profile"), odr_profiles[look->version])) {
        report(look, RECEIPT_FAILED, STR("profile is not that of odr_version."));
        return false;
    }
    return true;
}

void odr_verify(struct receipt_report *out, struct arena *arena, struct str document,
                const struct receipt_public_key *key)
{
    struct look look = { .arena = arena,
                         .report = out,
                         .warnings = arena_array(arena, WARNINGS_MAX, sizeof(*look.warnings)) };

    *out = (struct receipt_report){ .warnings = { look.warnings, 0 } };
    if (!document_read(&look, document))
        return;
    out->receipt_id = arena_str(arena, text_of(look.document, "receipt_id"));
    out->is_demo = is_demo(look.document);
    check_quorum(&look);
    check_attestation(&look);
    if (odr_digest(&out->digest, arena, look.document) != OK)
        look.fault = STR("It has no canonical form (RFC 8785).");
    if (look.fault.at)
        report(&look, RECEIPT_FAILED, look.fault);
    else
        signatures_check(&look, key);
}
