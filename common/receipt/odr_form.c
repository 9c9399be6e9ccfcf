#include "common/receipt/odr_form.h"

#include "common/base/crypto.h"
#include "common/receipt/jcs.h"

const char *const odr_versions[] = { "0.1", "0.2", NULL };
const char *const odr_profiles[] = {
    "https://aragora.ai/specs/open-decision-receipt/v0.1",
    "https://aragora.ai/specs/open-decision-receipt/v0.2",
    NULL,
};

static const char *const present[] = { "present", NULL };
static const char *const reserved[] = { "reserved", NULL };
static const char *const unit_interval[] = { "unit_interval", NULL };
static const char *const ed25519[] = { "Ed25519", NULL };
static const char *const severities[] = { "P0", "P1", "P2", "P3", NULL };
static const char *const observation_kinds[] = { "timeout", "failure", "rerun", NULL };
static const char *const dispositions[] = { "human_attested", "autonomous", NULL };
static const char *const signature_roles[] = { "emitter", "reviewer", "attestor", "notary", NULL };
static const char *const adjudication_kinds[] = { "review_adjudication.v1", NULL };
static const char *const adjudication_verdicts[] = { "settle", "block", "escalate",
                                                     "not_applicable", NULL };
static const char *const advisory_policies[] = { "cap_at_advisory", "promote_grounded_to_block",
                                                 NULL };

#define PRESENT "status", SHAPE_WORD, .words = present

static const struct shape digest_members[] = {
    { PRESENT },
    { "alg", SHAPE_STRING },
    { "value", SHAPE_TEXT },
    { 0 },
};

static const struct shape subject_members[] = {
    { "identifier", SHAPE_STRING },
    { "digest", SHAPE_BLOCK, digest_members },
    { "summary", SHAPE_STRING, .optional = true },
    { "repository", SHAPE_STRING, .optional = true, .later = true },
    { "pr_number", SHAPE_INTEGER, .optional = true, .later = true },
    { "head_sha", SHAPE_STRING, .optional = true, .later = true },
    { "base_sha", SHAPE_STRING, .optional = true, .later = true },
    { 0 },
};

static const struct shape claim_members[] = {
    { "verdict", SHAPE_TEXT },
    { "statement", SHAPE_TEXT_OR_ABSENT },
    { 0 },
};

static const struct shape observation_members[] = {
    { "kind", SHAPE_WORD, .words = observation_kinds },
    { "family", SHAPE_STRING },
    { "detail", SHAPE_STRING },
    { 0 },
};

static const struct shape reasoning_members[] = {
    { PRESENT },
    { "summary", SHAPE_TEXT },
    { "observations", SHAPE_LIST, observation_members, .optional = true, .later = true },
    { 0 },
};

static const struct shape verdict_members[] = {
    { "issuer", SHAPE_STRING },
    { "verdict", SHAPE_STRING },
    { "model_family", SHAPE_STRING },
    { "model_id", SHAPE_STRING },
    { "role", SHAPE_STRING, .optional = true },
    { "head_sha", SHAPE_STRING, .optional = true },
    { "posted_at", SHAPE_STRING, .optional = true },
    { "grounded", SHAPE_FLAG, .optional = true },
    { "counted", SHAPE_FLAG, .optional = true },
    { "severity_max", SHAPE_WORD, .words = severities, .optional = true },
    { "blocking", SHAPE_FLAG, .optional = true },
    { 0 },
};

static const struct shape rule_members[] = {
    { "required_signals", SHAPE_INTEGER },
    { "requires_western_frontier", SHAPE_FLAG },
    { "western_only_counted", SHAPE_FLAG },
    { "counted_families", SHAPE_STRINGS },
    { 0 },
};

static const struct shape participant_members[] = {
    { "agent", SHAPE_TEXT },
    { "model_family", SHAPE_STRING },
    { "model_id", SHAPE_STRING },
    { 0 },
};

static const struct shape independence_members[] = {
    { "disclosed", SHAPE_FLAG },
    { "distinct_model_families", SHAPE_COUNT },
    { "model_families", SHAPE_STRINGS },
    { "note", SHAPE_STRING, .optional = true },
    { 0 },
};

static const struct shape finding_members[] = {
    { "issuer", SHAPE_STRING },
    { "severity", SHAPE_WORD, .words = severities },
    { "blocking", SHAPE_FLAG },
    { "text", SHAPE_STRING },
    { "location", SHAPE_STRING, .optional = true },
    { 0 },
};

static const struct shape dissent_members[] = {
    { "present", SHAPE_FLAG },
    { "dissenting_agents", SHAPE_STRINGS },
    { "views", SHAPE_STRINGS },
    { "findings", SHAPE_LIST, finding_members, .optional = true, .later = true },
    { "severity_max", SHAPE_WORD, .words = severities, .optional = true, .later = true },
    { "blocking", SHAPE_FLAG, .optional = true, .later = true },
    { 0 },
};

static const struct shape quorum_members[] = {
    { PRESENT },
    { "method", SHAPE_STRING },
    { "reached", SHAPE_FLAG },
    { "supporting_agents", SHAPE_STRINGS },
    { "participants", SHAPE_LIST, participant_members },
    { "independence", SHAPE_OBJECT, independence_members },
    { "dissent", SHAPE_OBJECT, dissent_members },
    { "verdicts", SHAPE_LIST, verdict_members, .optional = true, .later = true },
    { "rule", SHAPE_OBJECT, rule_members, .optional = true, .later = true },
    { 0 },
};

static const struct shape provenance_members[] = {
    { "type", SHAPE_TEXT },
    { "receipt_id", SHAPE_STRING, .optional = true },
    { "uri", SHAPE_STRING, .optional = true },
    { 0 },
};

static const struct shape calibration_members[] = {
    { PRESENT },
    { "provenance_ref", SHAPE_OPEN, provenance_members },
    { 0 },
};

static const struct shape confidence_members[] = {
    { PRESENT },
    { "value", SHAPE_UNIT },
    { "scale", SHAPE_WORD, .words = unit_interval },
    { "calibration", SHAPE_BLOCK, calibration_members },
    { 0 },
};

static const struct shape cruxes_members[] = {
    { PRESENT },
    { "items", SHAPE_LIST, .filled = true },
    { 0 },
};

static const struct shape identity_members[] = {
    { "id", SHAPE_STRING, .optional = true },
    { "name", SHAPE_STRING, .optional = true },
    { "role", SHAPE_STRING, .optional = true },
    { 0 },
};

static const struct shape observed_members[] = {
    { "head_sha", SHAPE_STRING, .optional = true },
    { "evidence_digest", SHAPE_STRING, .optional = true },
    { 0 },
};

static const struct shape mechanism_members[] = {
    { "type", SHAPE_TEXT },
    { "context", SHAPE_STRING, .optional = true },
    { "ref", SHAPE_STRING, .optional = true },
    { "policy_version", SHAPE_INTEGER, .optional = true },
    { "tier", SHAPE_INTEGER, .optional = true, .nullable = true },
    { "tiered_gate", SHAPE_FLAG, .optional = true },
    { "severity_gated", SHAPE_FLAG, .optional = true },
    { "action", SHAPE_STRING, .optional = true },
    { "action_reason", SHAPE_STRING, .optional = true },
    { "record_ref", SHAPE_STRING, .optional = true },
    { 0 },
};

static const struct shape attestation_members[] = {
    { "disposition", SHAPE_WORD, .words = dispositions },
    { "attestor", SHAPE_OPEN, identity_members, .optional = true },
    { "attested_at", SHAPE_STRING, .optional = true },
    { "method", SHAPE_STRING, .optional = true },
    { "execution_identity", SHAPE_OPEN, identity_members, .optional = true },
    { "observed", SHAPE_OPEN, observed_members, .optional = true },
    { "mechanism", SHAPE_OPEN, mechanism_members, .optional = true },
    { 0 },
};

static const struct shape routing_members[] = {
    { "status", SHAPE_WORD, .words = reserved },
    { 0 },
};

static const struct shape signature_members[] = {
    { "alg", SHAPE_WORD, .words = ed25519 },
    { "key_id", SHAPE_TEXT },
    { "signature", SHAPE_TEXT },
    { "issuer", SHAPE_TEXT, .optional = true },
    { "role", SHAPE_WORD, .words = signature_roles, .optional = true },
    { "signed_at", SHAPE_STRING, .optional = true },
    { "expires_at", SHAPE_STRING, .optional = true },
    { 0 },
};

static const struct shape source_members[] = {
    { "system", SHAPE_STRING },
    { "schema", SHAPE_STRING },
    { "receipt_id", SHAPE_STRING },
    { "schema_version", SHAPE_STRING, .optional = true },
    { "artifact_hash", SHAPE_STRING, .optional = true },
    { 0 },
};

static const struct shape adjudication_members[] = {
    { "kind", SHAPE_WORD, .words = adjudication_kinds },
    { "verdict", SHAPE_WORD, .words = adjudication_verdicts },
    { "reason", SHAPE_STRING },
    { "groundedness_bar", SHAPE_NUMBER, .optional = true },
    { "advisory_severity_policy", SHAPE_WORD, .words = advisory_policies, .optional = true },
    { "policy", SHAPE_OBJECT, .optional = true },
    { "assessments", SHAPE_LIST, .optional = true },
    { "blocking_findings", SHAPE_STRINGS, .optional = true },
    { "escalated_findings", SHAPE_STRINGS, .optional = true },
    { "settled_findings", SHAPE_STRINGS, .optional = true },
    { 0 },
};

const struct shape odr_members[] = {
    { "odr_version", SHAPE_WORD, .words = odr_versions },
    { "profile", SHAPE_WORD, .words = odr_profiles },
    { "receipt_id", SHAPE_TEXT },
    { "issued_at", SHAPE_STRING, .nullable = true },
    { "subject", SHAPE_OBJECT, subject_members },
    { "claim", SHAPE_OBJECT, claim_members },
    { "reasoning", SHAPE_BLOCK, reasoning_members },
    { "quorum", SHAPE_BLOCK, quorum_members },
    { "confidence", SHAPE_BLOCK, confidence_members },
    { "cruxes", SHAPE_BLOCK, cruxes_members },
    { "attestation", SHAPE_OBJECT, attestation_members },
    { "routing", SHAPE_OBJECT, routing_members },
    { "signatures", SHAPE_LIST, signature_members },
    { "source", SHAPE_OBJECT, source_members, .optional = true },
    { "adjudication", SHAPE_OBJECT, adjudication_members, .optional = true, .later = true },
    { 0 },
};

/* The member is back in its object afterwards. */
static enum result write_without(struct buf *out, struct json_object *object, const char *name)
{
    struct json_object *kept = NULL;
    bool had = json_object_object_get_ex(object, name, &kept);

    if (had) {
        json_object_get(kept);
        json_object_object_del(object, name);
    }
    enum result result = jcs_write(out, object);
    if (had)
        json_object_object_add(object, name, kept);
    return result;
}

enum result odr_digest(struct str *out, struct arena *arena, struct json_object *document)
{
    CLEANUP(buf_free) struct buf text = { 0 };

    TRY(write_without(&text, document, "signatures"));
    *out = sha256_hex(arena, buf_view(&text));
    return OK;
}

struct str odr_document_digest(struct arena *arena, struct str document)
{
    struct json_object *object;
    struct str digest;

    if (json_parse(&object, arena, document, &json_limits_wide, NULL) != OK ||
        !json_object_is_type(object, json_type_object))
        return STR_NONE;
    return odr_digest(&digest, arena, object) == OK ? digest : STR_NONE;
}

enum result odr_signed_message(struct str *out, struct arena *arena, enum odr_version version,
                               struct str digest, struct json_object *entry)
{
    CLEANUP(buf_free) struct buf message = { 0 };
    unsigned char raw[SHA256_BYTES];

    if (version == ODR_0_1) {
        if (!hex_bytes(raw, sizeof(raw), digest))
            return ERR_VALIDATION;
        buf_add(&message, raw, sizeof(raw));
    } else { /* the members in the order of RFC 8785 */
        buf_str(&message, STR("{\"odr_digest\":"));
        buf_json_str(&message, digest);
        buf_str(&message, STR(",\"odr_signature_input\":\"0.2\",\"protected\":"));
        TRY(write_without(&message, entry, "signature"));
        buf_char(&message, '}');
    }
    *out = arena_str(arena, buf_view(&message));
    return OK;
}
