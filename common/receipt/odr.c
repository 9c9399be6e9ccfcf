/* odr.c - the public form is made from the facts of a decision.
 *
 * One document of profile 0.2 is written by tables; the one of 0.1 is the same without what that
 * profile does not know. Both pass the check that a verifier makes before they are signed. */
#include "common/receipt/odr.h"

#include "common/base/clock.h"
#include "common/base/crypto.h"
#include "common/base/field.h"
#include "common/receipt/jcs.h"
#include "common/receipt/odr_form.h"

#include <assert.h>

#define SUMMARY_CHARACTERS 200
#define UNDISCLOSED        STR("undisclosed")
#define ABSENT(why)        ((struct json_text){ STR("{\"reason\":\"" why "\",\"status\":\"absent\"}") })

/* --- What is written --------------------------------------------------------------------- */

struct digest {
    struct str status, alg, value;
};

static const struct field digest_out[] = {
    { FIELD(struct digest, status) },
    { FIELD(struct digest, alg) },
    { FIELD(struct digest, value) },
    { 0 },
};

struct subject {
    struct str identifier, summary;
    struct digest digest;
};

static const struct field subject_out[] = {
    { FIELD(struct subject, identifier) },
    { FIELD_INSIDE(struct subject, digest, digest_out) },
    { FIELD(struct subject, summary) },
    { 0 },
};

struct claim {
    struct str verdict;
    struct json_text statement;
};

static const struct field claim_out[] = {
    { FIELD(struct claim, verdict) },
    { FIELD(struct claim, statement) },
    { 0 },
};

struct observation {
    struct str kind, family, detail;
};

static const struct field observation_out[] = {
    { FIELD(struct observation, kind) },
    { FIELD(struct observation, family) },
    { FIELD(struct observation, detail) },
    { 0 },
};

struct reasoning {
    struct str status, summary;
    struct list observations; /* of struct observation */
};

static const struct field reasoning_out[] = {
    { FIELD(struct reasoning, status) },
    { FIELD(struct reasoning, summary) },
    { FIELD_LIST(struct reasoning, observations, struct observation, observation_out) },
    { 0 },
};

struct participant {
    struct str agent, model_family, model_id;
};

static const struct field participant_out[] = {
    { FIELD(struct participant, agent) },
    { FIELD(struct participant, model_family) },
    { FIELD(struct participant, model_id) },
    { 0 },
};

struct independence {
    struct list model_families; /* of struct str */
    struct str note;
    int64_t distinct_model_families;
    bool disclosed;
};

static const struct field independence_out[] = {
    { FIELD(struct independence, disclosed) },
    { FIELD(struct independence, distinct_model_families) },
    { FIELD_TEXTS(struct independence, model_families), .absent = ABSENT_EMPTY },
    { FIELD(struct independence, note) },
    { 0 },
};

struct finding {
    struct str issuer, severity, text;
    bool blocking;
};

static const struct field finding_out[] = {
    { FIELD(struct finding, issuer) },
    { FIELD(struct finding, severity) },
    { FIELD(struct finding, blocking) },
    { FIELD(struct finding, text) },
    { 0 },
};

struct dissent {
    struct list dissenting_agents, views; /* of struct str */
    struct list findings;                 /* of struct finding */
    struct str severity_max;
    bool present, blocking;
};

static const struct field dissent_out[] = {
    { FIELD(struct dissent, present) },
    { FIELD_TEXTS(struct dissent, dissenting_agents), .absent = ABSENT_EMPTY },
    { FIELD_TEXTS(struct dissent, views), .absent = ABSENT_EMPTY },
    { FIELD_LIST(struct dissent, findings, struct finding, finding_out), .absent = ABSENT_EMPTY },
    { FIELD(struct dissent, severity_max) },
    { FIELD(struct dissent, blocking) },
    { 0 },
};

struct ballot {
    struct participant who;
    struct str verdict, role;
    struct utc posted_at;
    bool counted;
};

static const struct field ballot_out[] = {
    { FIELD_AS("issuer", struct ballot, who.agent) },
    { FIELD(struct ballot, verdict) },
    { FIELD_AS("model_family", struct ballot, who.model_family) },
    { FIELD_AS("model_id", struct ballot, who.model_id) },
    { FIELD(struct ballot, role) },
    { FIELD(struct ballot, posted_at), .form = FORM_ISO_Z },
    { FIELD(struct ballot, counted) },
    { 0 },
};

struct quorum {
    struct str status, method;
    struct list supporting_agents;      /* of struct str */
    struct list participants, verdicts; /* of struct participant, struct ballot */
    struct independence independence;
    struct dissent dissent;
    bool reached;
};

static const struct field quorum_out[] = {
    { FIELD(struct quorum, status) },
    { FIELD(struct quorum, method) },
    { FIELD(struct quorum, reached) },
    { FIELD_TEXTS(struct quorum, supporting_agents), .absent = ABSENT_EMPTY },
    { FIELD_LIST(struct quorum, participants, struct participant, participant_out),
      .absent = ABSENT_EMPTY },
    { FIELD_INSIDE(struct quorum, independence, independence_out) },
    { FIELD_INSIDE(struct quorum, dissent, dissent_out) },
    { FIELD_LIST(struct quorum, verdicts, struct ballot, ballot_out), .absent = ABSENT_EMPTY },
    { 0 },
};

struct identity {
    struct str id, name, role;
};

static const struct field identity_out[] = {
    { FIELD(struct identity, id) },
    { FIELD(struct identity, name) },
    { FIELD(struct identity, role) },
    { 0 },
};

struct attestation {
    struct str disposition;
    struct identity execution_identity;
};

static const struct field attestation_out[] = {
    { FIELD(struct attestation, disposition) },
    { FIELD_INSIDE(struct attestation, execution_identity, identity_out) },
    { 0 },
};

struct source {
    struct str system, schema, receipt_id, artifact_hash;
};

static const struct field source_out[] = {
    { FIELD(struct source, system) },
    { FIELD(struct source, schema) },
    { FIELD(struct source, receipt_id) },
    { FIELD(struct source, artifact_hash) },
    { 0 },
};

struct document {
    struct str odr_version, profile, receipt_id;
    struct utc issued_at;
    struct subject subject;
    struct claim claim;
    struct json_text reasoning, confidence, cruxes, routing, signatures;
    struct quorum quorum;
    struct attestation attestation;
    struct source source;
};

static const struct field document_out[] = {
    { FIELD(struct document, odr_version) },
    { FIELD(struct document, profile) },
    { FIELD(struct document, receipt_id) },
    { FIELD(struct document, issued_at), .form = FORM_ISO_Z, .absent = ABSENT_NULL },
    { FIELD_INSIDE(struct document, subject, subject_out) },
    { FIELD_INSIDE(struct document, claim, claim_out) },
    { FIELD(struct document, reasoning) },
    { FIELD_INSIDE(struct document, quorum, quorum_out) },
    { FIELD(struct document, confidence) },
    { FIELD(struct document, cruxes) },
    { FIELD_INSIDE(struct document, attestation, attestation_out) },
    { FIELD(struct document, routing) },
    { FIELD(struct document, signatures) },
    { FIELD_INSIDE(struct document, source, source_out) },
    { 0 },
};

/* --- From the facts ---------------------------------------------------------------------- */

static struct participant participant_of(const struct receipt_facts *facts,
                                         const struct receipt_participant *who)
{
    return (struct participant){ .agent = who->agent,
                                 .model_family = facts->is_demo     ? STR("demo")
                                                 : who->provider.at ? who->provider
                                                                    : UNDISCLOSED,
                                 .model_id = who->model.at ? who->model : UNDISCLOSED };
}

static struct list participants_of(struct arena *arena, const struct receipt_facts *facts)
{
    const struct receipt_participant *all = facts->participants.at;
    struct participant *out = arena_array(arena, facts->participants.count, sizeof(*out));

    for (size_t i = 0; i < facts->participants.count; i++)
        out[i] = participant_of(facts, &all[i]);
    return (struct list){ out, facts->participants.count };
}

static bool has_text(const struct str *all, size_t count, struct str text)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(all[i], text))
            return true;
    return false;
}

static struct str absence_text(struct arena *arena, const struct receipt_absence *absence)
{
    return arena_printf(arena, STR_FMT " was absent (" STR_FMT ": " STR_FMT ").",
                        STR_ARG(absence->agent), STR_ARG(absence->phase), STR_ARG(absence->reason));
}

/* What weakens the quorum; STR_NONE: nothing. */
static struct str note_of(struct arena *arena, const struct receipt_facts *facts)
{
    const struct receipt_absence *absent = facts->absent.at;
    CLEANUP(buf_free) struct buf note = { 0 };

    if (facts->is_demo)
        buf_str(&note, STR("The agents were simulated."));
    for (size_t i = 0; i < facts->absent.count; i++)
        buf_printf(&note, "%s" STR_FMT, note.len ? " " : "",
                   STR_ARG(absence_text(arena, &absent[i])));
    return note.len ? arena_str(arena, buf_view(&note)) : STR_NONE;
}

static struct independence independence_of(struct arena *arena, const struct receipt_facts *facts,
                                           struct list participants)
{
    const struct participant *all = participants.at;
    struct str *families = arena_array(arena, participants.count, sizeof(*families));
    struct independence out = { .disclosed = true };
    size_t count = 0;

    for (size_t i = 0; i < participants.count; i++) {
        if (str_eq(all[i].model_family, UNDISCLOSED))
            out.disclosed = false;
        else if (!has_text(families, count, all[i].model_family))
            families[count++] = all[i].model_family;
    }
    out.model_families = (struct list){ families, count };
    out.distinct_model_families = (int64_t)count;
    out.note = note_of(arena, facts);
    return out;
}

static struct list voters(struct arena *arena, struct list votes, enum receipt_stance stance)
{
    const struct receipt_vote *all = votes.at;
    struct str *agents = arena_array(arena, votes.count, sizeof(*agents));
    size_t count = 0;

    for (size_t i = 0; i < votes.count; i++)
        if (all[i].stance == stance)
            agents[count++] = all[i].agent;
    return (struct list){ agents, count };
}

static struct list views_of(struct arena *arena, struct list votes)
{
    const struct receipt_vote *all = votes.at;
    struct str *views = arena_array(arena, votes.count, sizeof(*views));
    size_t count = 0;

    for (size_t i = 0; i < votes.count; i++)
        if (all[i].stance == STANCE_DISSENT && all[i].reason.len)
            views[count++] = arena_printf(arena, STR_FMT ": " STR_FMT, STR_ARG(all[i].agent),
                                          STR_ARG(all[i].reason));
    return (struct list){ views, count };
}

static struct str severity_name(double severity)
{
    return severity >= 9   ? STR("P0")
           : severity >= 7 ? STR("P1")
           : severity >= 4 ? STR("P2")
                           : STR("P3");
}

static void add_findings(struct dissent *out, struct arena *arena, struct list critiques)
{
    const struct receipt_critique *all = critiques.at;
    struct finding *findings = arena_array(arena, critiques.count, sizeof(*findings));
    double gravest = 0;

    for (size_t i = 0; i < critiques.count; i++) {
        findings[i] = (struct finding){ .issuer = all[i].agent,
                                        .severity = severity_name(all[i].severity),
                                        .text = all[i].text,
                                        .blocking = all[i].severity >= 7 };
        gravest = all[i].severity > gravest ? all[i].severity : gravest;
    }
    out->findings = (struct list){ findings, critiques.count };
    out->severity_max = critiques.count ? severity_name(gravest) : STR_NONE;
    out->blocking = gravest >= 7;
}

static struct dissent dissent_of(struct arena *arena, const struct receipt_facts *facts)
{
    struct dissent out = { .dissenting_agents = voters(arena, facts->votes, STANCE_DISSENT),
                           .views = views_of(arena, facts->votes) };

    out.present = out.dissenting_agents.count > 0;
    add_findings(&out, arena, facts->critiques);
    return out;
}

static struct participant find_participant(struct list participants, struct str agent)
{
    const struct participant *all = participants.at;

    for (size_t i = 0; i < participants.count; i++)
        if (str_eq(all[i].agent, agent))
            return all[i];
    return (struct participant){ agent, UNDISCLOSED, UNDISCLOSED };
}

static struct list ballots_of(struct arena *arena, struct list votes, struct list participants)
{
    static const struct str words[] = { [STANCE_SUPPORT] = STR("support"),
                                        [STANCE_DISSENT] = STR("dissent"),
                                        [STANCE_ABSTAIN] = STR("abstain") };
    const struct receipt_vote *all = votes.at;
    struct ballot *out = arena_array(arena, votes.count, sizeof(*out));

    for (size_t i = 0; i < votes.count; i++)
        out[i] = (struct ballot){ .who = find_participant(participants, all[i].agent),
                                  .verdict = words[all[i].stance],
                                  .role = all[i].role,
                                  .posted_at = all[i].posted_at,
                                  .counted = all[i].stance != STANCE_ABSTAIN && !all[i].advisory };
    return (struct list){ out, votes.count };
}

static struct quorum quorum_of(struct arena *arena, const struct receipt_facts *facts)
{
    struct list participants = participants_of(arena, facts);

    return (struct quorum){
        .status = STR("present"),
        .method = facts->consensus.method,
        .reached = facts->consensus.reached,
        .supporting_agents = voters(arena, facts->votes, STANCE_SUPPORT),
        .participants = participants,
        .independence = independence_of(arena, facts, participants),
        .dissent = dissent_of(arena, facts),
        .verdicts = ballots_of(arena, facts->votes, participants),
    };
}

static struct json_text text_json(struct arena *arena, struct str text)
{
    CLEANUP(buf_free) struct buf json = { 0 };

    buf_json_str(&json, text);
    return (struct json_text){ arena_str(arena, buf_view(&json)) };
}

static struct list observations_of(struct arena *arena, const struct receipt_facts *facts)
{
    const struct receipt_absence *absent = facts->absent.at;
    struct observation *out = arena_array(arena, facts->absent.count, sizeof(*out));
    struct list participants = participants_of(arena, facts);

    if (!facts->absent.count)
        return (struct list){ 0 };
    for (size_t i = 0; i < facts->absent.count; i++)
        out[i] = (struct observation){
            .kind = str_is(absent[i].reason, "timeout") ? STR("timeout") : STR("failure"),
            .family = find_participant(participants, absent[i].agent).model_family,
            .detail = absence_text(arena, &absent[i]),
        };
    return (struct list){ out, facts->absent.count };
}

static struct json_text reasoning_of(struct arena *arena, const struct receipt_facts *facts)
{
    CLEANUP(buf_free) struct buf json = { 0 };
    const struct reasoning reasoning = { STR("present"), facts->reasoning,
                                         observations_of(arena, facts) };

    if (!facts->reasoning.len)
        return ABSENT("The debate ended without a summary.");
    fields_write(&json, &reasoning, reasoning_out);
    return (struct json_text){ arena_str(arena, buf_view(&json)) };
}

static struct subject subject_of(struct arena *arena, const struct receipt_facts *facts)
{
    return (struct subject){
        .identifier = facts->debate_id,
        .summary = str_cut(facts->task, SUMMARY_CHARACTERS),
        .digest = { STR("present"), STR("sha-256"), sha256_hex(arena, facts->task) },
    };
}

static void write_document(struct buf *out, struct arena *arena, const struct odr_draft *draft)
{
    const struct receipt_facts *facts = draft->facts;
    const struct document document = {
        .odr_version = str_from(odr_versions[ODR_0_2]),
        .profile = str_from(odr_profiles[ODR_0_2]),
        .receipt_id = facts->receipt_id,
        .issued_at = facts->created_at,
        .subject = subject_of(arena, facts),
        .claim = { facts->verdict, facts->final_answer.len
                                       ? text_json(arena, facts->final_answer)
                                       : ABSENT("The debate ended without an answer.") },
        .reasoning = reasoning_of(arena, facts),
        .quorum = quorum_of(arena, facts),
        .confidence = facts->consensus.judge.at
                          ? ABSENT("The judge is not calibrated.")
                          : ABSENT("The share of the votes is not calibrated."),
        .cruxes = ABSENT("Cruxes were not looked for."),
        .attestation = { STR("autonomous"),
                         { draft->execution_id, STR("aragora-debated"), STR("executor") } },
        .routing = { STR("{\"status\":\"reserved\"}") },
        .signatures = { STR("[]") },
        .source = { STR("aragora"), STR(RECEIPT_SCHEMA), facts->receipt_id, draft->native_digest },
    };

    fields_write(out, &document, document_out);
}

/* --- Signing ----------------------------------------------------------------------------- */

struct entry {
    struct str alg, key_id, issuer, role, signature;
    struct utc signed_at;
};

static const struct field entry_out[] = {
    { FIELD(struct entry, alg) },
    { FIELD(struct entry, issuer) },
    { FIELD(struct entry, key_id) },
    { FIELD(struct entry, role) },
    { FIELD(struct entry, signature) },
    { FIELD(struct entry, signed_at), .form = FORM_ISO_Z },
    { 0 },
};

/* What 0.1 does not sign is not said there. */
static struct entry entry_of(const struct odr_draft *draft, enum odr_version version)
{
    struct entry entry = { .alg = STR("Ed25519"),
                           .key_id = str_from(receipt_key_public(draft->key)->key_id) };

    if (version != ODR_0_1) {
        entry.issuer = draft->issuer;
        entry.role = STR("emitter");
        entry.signed_at = draft->facts->created_at;
    }
    return entry;
}

static enum result entry_json(struct str *out, struct arena *arena, const struct entry *entry)
{
    CLEANUP(buf_free) struct buf json = { 0 };

    fields_write(&json, entry, entry_out);
    return jcs_text(out, arena, buf_view(&json));
}

static enum result entry_sign(struct str *out, struct arena *arena, const struct odr_draft *draft,
                              enum odr_version version, struct str digest)
{
    struct entry entry = entry_of(draft, version);
    unsigned char signature[SIGNATURE_BYTES];
    struct json_object *object;
    struct str text, message;

    TRY(entry_json(&text, arena, &entry));
    TRY(json_parse(&object, arena, text, &json_limits_wide, NULL));
    TRY(odr_signed_message(&message, arena, version, digest, object));
    TRY(receipt_key_sign(signature, draft->key, message));
    entry.signature = base64_text(arena, signature, sizeof(signature));
    return entry_json(out, arena, &entry);
}

static enum result document_sign(struct odr *out, struct arena *arena, struct json_object *document,
                                 const struct odr_draft *draft, enum odr_version version)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    struct json_object *entry, *signatures = json_object_new_array();
    struct odr odr;

    json_object_object_add(document, "signatures", signatures);
    if (!shape_fits(NULL, arena, document, odr_members, version != ODR_0_1))
        return ERR_VALIDATION;
    TRY(odr_digest(&odr.digest, arena, document));
    TRY(entry_sign(&odr.signature.text, arena, draft, version, odr.digest));
    TRY(json_parse(&entry, arena, odr.signature.text, &json_limits_wide, NULL));
    json_object_array_add(signatures, json_object_get(entry));
    TRY(jcs_write(&text, document));
    odr.document = arena_str(arena, buf_view(&text));
    *out = odr;
    return OK;
}

static void reduce(struct json_object *document, enum odr_version version)
{
    shape_strip_later(document, odr_members);
    json_object_object_add(document, "odr_version", json_object_new_string(odr_versions[version]));
    json_object_object_add(document, "profile", json_object_new_string(odr_profiles[version]));
}

enum result odr_build(struct odr out[ODR_VERSIONS], struct arena *arena,
                      const struct odr_draft *draft)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    struct json_object *document;
    struct odr made[ODR_VERSIONS];

    assert(draft->key);
    if (!draft->facts->created_at.us || !draft->facts->task.at || !draft->native_digest.at)
        return ERR_VALIDATION;
    write_document(&text, arena, draft);
    if (json_parse(&document, arena, buf_view(&text), &json_limits_wide, NULL) != OK)
        return ERR_VALIDATION;
    TRY(document_sign(&made[ODR_0_2], arena, document, draft, ODR_0_2));
    reduce(document, ODR_0_1);
    TRY(document_sign(&made[ODR_0_1], arena, document, draft, ODR_0_1));
    memcpy(out, made, sizeof(made));
    return OK;
}
