/* receipts.c - signed records of decisions: list, read, export, verify (domain debates, 16;
 * receipts_odr 6).
 *
 * A receipt is verified with the public keys that the database holds; a reader who trusts
 * nobody exports it and runs aragora verify. Erasing a debate takes the public form and the texts;
 * the receipt itself stays. */
#include "handlers/handler.h"

#include "common/base/clock.h"
#include "common/store/receipt_chain.h"
#include "common/store/receipts.h"
#include "common/store/transcript.h"

/* --- The view of a receipt --------------------------------------------------------------- */

struct signature_view {
    struct str algorithm, key_id;
    struct utc signed_at;
};

static const struct field signature_out[] = {
    { FIELD(struct signature_view, algorithm), .doc = "Ed25519" },
    { FIELD(struct signature_view, key_id), .doc = "Which key signed; see the signing-key routes" },
    { FIELD(struct signature_view, signed_at), .doc = "When" },
    { 0 },
};

struct receipt_view {
    struct receipt_row row;
    struct str run_id, risk_level, input_summary;
    double risk_score;
    bool is_signed, demo, has_timestamp, legal_hold;
    struct signature_view signature_metadata;
    struct json_text document;
};

#define VIEW_FIELDS                                                                                \
    { FIELD_AS("receipt_id", struct receipt_view, row.receipt_id), .doc = "Id" },                  \
        { FIELD_AS("id", struct receipt_view, row.receipt_id), .doc = "The same" },                \
        { FIELD_AS("debate_id", struct receipt_view, row.debate_id), .doc = "What was decided" },  \
        { FIELD_AS("gauntlet_id", struct receipt_view, run_id),                                    \
          .doc = "debate- and the debate's id" },                                                  \
        { FIELD_AS("created_at", struct receipt_view, row.created_at), .doc = "When issued" },     \
        { FIELD_AS("timestamp", struct receipt_view, row.created_at), .doc = "The same" },         \
        { FIELD_AS("verdict", struct receipt_view, row.verdict),                                   \
          .doc = "APPROVED, APPROVED_WITH_CONDITIONS or NEEDS_REVIEW" },                           \
        { FIELD_AS("status", struct receipt_view, row.verdict), .doc = "The same" },               \
        { FIELD_AS("confidence", struct receipt_view, row.confidence), .doc = "0 to 1" },          \
        { FIELD(struct receipt_view, risk_level), .doc = "LOW or MEDIUM" },                        \
        { FIELD(struct receipt_view, risk_score), .doc = "1 - confidence" },                       \
        { FIELD(struct receipt_view, input_summary), .doc = "Head of the question, if kept" },     \
        { FIELD_AS("checksum", struct receipt_view, row.digest),                                   \
          .doc = "SHA-256 of what was signed" },                                                   \
        { FIELD_AS("hash", struct receipt_view, row.digest), .doc = "The same" },                  \
        { FIELD_AS("signature", struct receipt_view, row.signature), .doc = "Base64" },            \
        { FIELD_AS("position", struct receipt_view, row.position),                                 \
          .doc = "In the organisation's chain, from 1" },                                          \
        { FIELD(struct receipt_view, is_signed), .doc = "true" },                                  \
        { FIELD(struct receipt_view, has_timestamp), .doc = "By an authority; not yet" },          \
        { FIELD(struct receipt_view, legal_hold), .doc = "Kept past its time; not yet" },          \
        { FIELD_AS("erased", struct receipt_view, row.erased),                                     \
          .doc = "The texts and the public form are deleted" },                                    \
        { FIELD(struct receipt_view, demo), .doc = "Demo agents answered" },                       \
    {                                                                                              \
        FIELD_INSIDE(struct receipt_view, signature_metadata, signature_out), .doc = "By whom"     \
    }

static const struct field view_out[] = { VIEW_FIELDS, { 0 } };
static const struct field receipt_out[] = {
    VIEW_FIELDS,
    { FIELD(struct receipt_view, document), .kind = JSON_OBJECT,
      .doc = "The receipt itself, as signed" },
    { 0 },
};

#define SUMMARY_CHARACTERS 200

static struct receipt_view view_of(struct request *r, const struct receipt_row *row)
{
    struct json_object *document;
    bool demo = false;

    if (json_parse(&document, r->arena, row->native, &json_limits_wide, NULL) == OK)
        (void)json_get_bool(&demo, document, "demo");
    return (struct receipt_view){
        .row = *row,
        .run_id = arena_printf(r->arena, "debate-" STR_FMT, STR_ARG(row->debate_id)),
        .risk_level = str_is(row->verdict, "APPROVED") ? STR("LOW") : STR("MEDIUM"),
        .risk_score = 1 - row->confidence,
        .input_summary = row->task.at ? str_cut(row->task, SUMMARY_CHARACTERS) : STR_NONE,
        .is_signed = true,
        .demo = demo,
        .signature_metadata = { STR("Ed25519"), row->key_id, row->created_at },
        .document = { row->native },
    };
}

static void mark_demo(struct request *r, bool demo)
{
    if (demo)
        reply_header(r, "X-Aragora-Demo", STR("1"));
}

/* --- List -------------------------------------------------------------------------------- */

struct receipt_list_in {
    int64_t limit, offset;
    struct str debate_id, verdict, order;
    struct utc date_from, date_to;
};

static const char *const verdicts[] = { "APPROVED", "APPROVED_WITH_CONDITIONS", "NEEDS_REVIEW",
                                        NULL };
static const char *const orders[] = { "asc", "desc", NULL };

static const struct field list_in[] = {
    { FIELD(struct receipt_list_in, limit), .min = 1, .max = 100, .clamp = true, .fallback = "20",
      .doc = "Receipts to return" },
    { FIELD(struct receipt_list_in, offset), .max = 1000000, .clamp = true, .fallback = "0",
      .doc = "Receipts to pass over" },
    { FIELD(struct receipt_list_in, debate_id), .pattern = PATTERN_SLUG,
      .doc = "Only that of this debate" },
    { FIELD(struct receipt_list_in, verdict), .choices = verdicts, .doc = "Only this verdict" },
    { FIELD(struct receipt_list_in, date_from), .doc = "Issued at or after" },
    { FIELD(struct receipt_list_in, date_to), .doc = "Issued before" },
    { FIELD(struct receipt_list_in, order), .choices = orders, .fallback = "desc",
      .doc = "By time of issue" },
    { 0 },
};

struct page {
    int64_t limit, offset, total;
    bool has_more;
};

static const struct field page_out[] = {
    { FIELD(struct page, limit), .doc = "As applied" },
    { FIELD(struct page, offset), .doc = "As applied" },
    { FIELD(struct page, total), .doc = "All that match" },
    { FIELD(struct page, has_more), .doc = "More follow" },
    { 0 },
};

struct receipt_list_out {
    struct list receipts;
    struct page pagination;
    int64_t count;
};

static const struct field list_out[] = {
    { FIELD_LIST(struct receipt_list_out, receipts, struct receipt_view, view_out),
      .doc = "In the order asked for" },
    { .name = "results",
      .offset = offsetof(struct receipt_list_out, receipts),
      .type = FIELD_STRUCTS,
      .fields = view_out,
      .item_size = sizeof(struct receipt_view),
      .doc = "The same" },
    { FIELD_INSIDE(struct receipt_list_out, pagination, page_out), .doc = "Where this page is" },
    { FIELD(struct receipt_list_out, count), .doc = "Returned" },
    { FIELD_AS("total", struct receipt_list_out, pagination.total), .doc = "All that match" },
    { 0 },
};

static enum result receipts_get(struct request *r)
{
    const struct receipt_list_in *in = r->input;
    struct receipt_list_out out = { .pagination = { in->limit, in->offset, 0, false } };
    const struct receipt_filter filter = { .debate_id = in->debate_id,
                                           .verdict = in->verdict,
                                           .from = in->date_from,
                                           .to = in->date_to,
                                           .oldest_first = str_is(in->order, "asc"),
                                           .limit = in->limit,
                                           .offset = in->offset };
    struct list rows;

    TRY(receipt_list(&rows, &out.pagination.total, r->db, &filter));
    struct receipt_view *views = arena_array(r->arena, rows.count, sizeof(*views));
    for (size_t i = 0; i < rows.count; i++)
        views[i] = view_of(r, (const struct receipt_row *)rows.at + i);
    out.receipts = (struct list){ views, rows.count };
    out.count = (int64_t)rows.count;
    out.pagination.has_more = in->offset + out.count < out.pagination.total;
    return reply(r, &out);
}

/* --- One --------------------------------------------------------------------------------- */

struct receipt_id_in {
    struct str receipt_id;
};

static const struct field id_in[] = {
    { FIELD(struct receipt_id_in, receipt_id), .pattern = PATTERN_SLUG,
      .doc = "Id of the receipt or of its debate" },
    { 0 },
};

static enum result receipt_get(struct request *r)
{
    const struct receipt_id_in *in = r->input;
    struct receipt_row row;

    TRY(receipt_find(&row, r->db, in->receipt_id));
    struct receipt_view view = view_of(r, &row);
    mark_demo(r, view.demo);
    return reply(r, &view);
}

/* --- Export ------------------------------------------------------------------------------ */

struct export_in {
    struct str receipt_id, format, odr_version;
    bool download;
};

static const char *const formats[] = { "json", "odr", "odr-chain", NULL };
static const char *const odr_versions[] = { "0.1", "0.2", NULL };

static const struct field export_in[] = {
    { FIELD(struct export_in, receipt_id), .pattern = PATTERN_SLUG,
      .doc = "Id of the receipt or of its debate" },
    { FIELD(struct export_in, format), .choices = formats, .fallback = "json",
      .doc = "json: the bytes as signed; odr: Open Decision Receipt; odr-chain: every entry of the "
             "organisation's chain, a line each. All for aragora verify" },
    { FIELD(struct export_in, odr_version), .choices = odr_versions, .fallback = "0.2",
      .doc = "Profile of the Open Decision Receipt" },
    { FIELD(struct export_in, download), .fallback = "false", .doc = "As a file to save" },
    { 0 },
};

static enum result erased(struct request *r)
{
    return refuse(r, ERR_ERASED, .message = STR("The texts of this decision were erased"));
}

struct exported {
    const char *type, *ending;
    struct str body;
};

static enum result export_odr(struct exported *out, struct request *r,
                              const struct receipt_row *row)
{
    const struct export_in *in = r->input;
    enum odr_version version = str_is(in->odr_version, "0.1") ? ODR_0_1 : ODR_0_2;
    enum result result = receipt_odr(&out->body, r->db, row->receipt_id, version);

    out->ending = "odr.json";
    return result == ERR_ERASED ? erased(r) : result;
}

static enum result export_chain(struct exported *out, struct request *r)
{
    struct buf *file = arena_buf(r->arena);

    TRY(receipt_chain_file(file, r->db));
    *out = (struct exported){ "application/x-ndjson", "odr-chain.jsonl", buf_view(file) };
    return OK;
}

static enum result receipt_export(struct request *r)
{
    const struct export_in *in = r->input;
    struct exported out = { .type = "application/json", .ending = "json" };
    struct receipt_row row;

    TRY(receipt_find(&row, r->db, in->receipt_id));
    out.body = row.native;
    if (str_is(in->format, "odr"))
        TRY(export_odr(&out, r, &row));
    else if (str_is(in->format, "odr-chain"))
        TRY(export_chain(&out, r));
    mark_demo(r, view_of(r, &row).demo);
    reply_header(r, "Content-Disposition",
                 arena_printf(r->arena, "%s; filename=\"" STR_FMT ".%s\"",
                              in->download ? "attachment" : "inline", STR_ARG(row.receipt_id),
                              out.ending));
    return reply_text(r, 200, out.type, out.body);
}

/* --- Texts ------------------------------------------------------------------------------- */

struct proof { /* a text with what its digest is made of */
    struct str kind, agent, text, salt, sha256;
    int64_t round;
};

#define PROOF_FIELDS                                                                               \
    { FIELD(struct proof, text), .absent = ABSENT_EMPTY, .doc = "The text" },                      \
        { FIELD(struct proof, salt), .absent = ABSENT_EMPTY,                                       \
          .doc = "Hexadecimal; its bytes precede the text's" },                                    \
    {                                                                                              \
        FIELD(struct proof, sha256), .doc = "SHA-256 of both, as in the receipt"                   \
    }

static const struct field frame_out[] = { PROOF_FIELDS, { 0 } };
static const struct field proof_out[] = {
    { FIELD(struct proof, kind), .doc = "message, critique or vote" },
    { FIELD(struct proof, agent), .doc = "Whose it is" },
    { FIELD(struct proof, round), .doc = "0 is the proposals" },
    PROOF_FIELDS,
    { 0 },
};

struct texts_out {
    struct str receipt_id, debate_id;
    struct proof task, final_answer;
    struct list texts; /* of struct proof */
};

static const struct field texts_out[] = {
    { FIELD(struct texts_out, receipt_id), .doc = "Id" },
    { FIELD(struct texts_out, debate_id), .doc = "What was decided" },
    { FIELD_INSIDE(struct texts_out, task, frame_out), .doc = "The question" },
    { FIELD_INSIDE(struct texts_out, final_answer, frame_out),
      .doc = "The decision; without sha256 if there is none" },
    { FIELD_LIST(struct texts_out, texts, struct proof, proof_out), .absent = ABSENT_EMPTY,
      .doc = "All that was said, in the receipt's order" },
    { 0 },
};

static struct proof proof_of(struct request *r, struct str text, struct str salt)
{
    return (struct proof){ .text = text,
                           .salt = salt,
                           .sha256 = receipt_text_digest(r->arena, salt, text) };
}

static struct list proofs_of(struct request *r, const struct list *texts)
{
    const struct transcript_text *all = texts->at;
    struct proof *proofs = arena_array(r->arena, texts->count, sizeof(*proofs));

    for (size_t i = 0; i < texts->count; i++) {
        proofs[i] = proof_of(r, all[i].text, all[i].salt);
        proofs[i].kind = all[i].kind;
        proofs[i].agent = all[i].agent;
        proofs[i].round = all[i].round;
    }
    return (struct list){ proofs, texts->count };
}

static enum result receipt_texts(struct request *r)
{
    const struct receipt_id_in *in = r->input;
    struct transcript_frame frame;
    struct receipt_row row;
    struct list texts;

    TRY(receipt_find(&row, r->db, in->receipt_id));
    if (row.erased)
        return erased(r);
    TRY(transcript_frame(&frame, r->db, row.debate_id));
    TRY(transcript_texts(&texts, r->db, row.debate_id));
    const struct texts_out out = { .receipt_id = row.receipt_id,
                                   .debate_id = row.debate_id,
                                   .task = proof_of(r, frame.task, frame.task_salt),
                                   .final_answer =
                                       proof_of(r, frame.final_answer, frame.answer_salt),
                                   .texts = proofs_of(r, &texts) };
    mark_demo(r, view_of(r, &row).demo);
    return reply(r, &out);
}

/* --- Verify ------------------------------------------------------------------------------ */

struct verified {
    struct str receipt_id, stored_checksum, computed_checksum, key_id, error;
    bool valid, integrity_valid, signature_valid, chain_valid, match, demo;
    struct utc verified_at;
};

static const struct field verified_out[] = {
    { FIELD(struct verified, receipt_id), .doc = "Id" },
    { FIELD(struct verified, valid), .doc = "Digest, signature and chain all hold" },
    { FIELD(struct verified, integrity_valid), .doc = "The content matches its digest" },
    { FIELD_AS("integrity_verified", struct verified, integrity_valid), .doc = "The same" },
    { FIELD(struct verified, signature_valid), .doc = "This server's key signed it" },
    { FIELD(struct verified, chain_valid), .doc = "It stands in the organisation's chain" },
    { FIELD(struct verified, match), .doc = "The checksums are equal" },
    { FIELD(struct verified, stored_checksum), .doc = "SHA-256 as stored" },
    { FIELD_AS("hash", struct verified, stored_checksum), .doc = "The same" },
    { FIELD(struct verified, computed_checksum), .doc = "SHA-256 as computed now" },
    { FIELD(struct verified, key_id), .doc = "Which key signed" },
    { FIELD(struct verified, demo), .doc = "Signed with the key of demo debates" },
    { FIELD(struct verified, verified_at), .doc = "Now" },
    { FIELD(struct verified, error), .doc = "What does not hold" },
    { 0 },
};

static enum result receipt_verify_post(struct request *r)
{
    const struct receipt_id_in *in = r->input;
    struct receipt_public_key key;
    struct receipt_report report;
    struct receipt_row row;
    struct str problem;

    TRY(receipt_find(&row, r->db, in->receipt_id));
    enum result known = receipt_key_find(&key, r->db, row.key_id);
    if (known != ERR_NOT_FOUND)
        TRY(known);
    receipt_verify(&report, r->arena, row.native, known == OK ? &key : NULL);
    TRY(receipt_chain_check(&problem, r->db, &row));
    struct str computed = receipt_digest(r->arena, row.native);
    bool intact = report.outcome != RECEIPT_MALFORMED && str_eq(computed, row.digest);
    struct verified out = { .receipt_id = row.receipt_id,
                            .stored_checksum = row.digest,
                            .computed_checksum = computed,
                            .key_id = row.key_id,
                            .integrity_valid = intact,
                            .match = intact,
                            .signature_valid = report.outcome == RECEIPT_VERIFIED,
                            .chain_valid = !problem.at,
                            .demo = report.is_demo,
                            .verified_at = utc_now() };
    out.valid = out.integrity_valid && out.signature_valid && out.chain_valid;
    if (!out.valid)
        out.error = problem.at ? problem : report.reason;
    mark_demo(r, out.demo);
    return reply(r, &out);
}

/* --- Keys -------------------------------------------------------------------------------- */

struct key_in {
    struct str key_id;
};

static const struct field key_in[] = {
    { FIELD(struct key_in, key_id), .pattern = PATTERN_ID,
      .doc = "Which key; without it, the one that signs now" },
    { 0 },
};

struct key_out {
    struct str key_id, algorithm, public_key_pem;
};

static const struct field key_out[] = {
    { FIELD(struct key_out, key_id), .doc = "ed25519- and 16 digits of SHA-256 of the key" },
    { FIELD(struct key_out, algorithm), .doc = "Ed25519" },
    { FIELD(struct key_out, public_key_pem), .doc = "SubjectPublicKeyInfo" },
    { 0 },
};

static enum result find_key(struct receipt_public_key *out, struct request *r)
{
    const struct key_in *in = r->input;
    enum result result = receipt_key_find(out, r->db, in->key_id.len ? in->key_id : STR_NONE);

    if (result != ERR_NOT_FOUND)
        return result;
    return refuse(r, ERR_NOT_FOUND, .message = STR("No such signing key"));
}

static enum result signing_key_get(struct request *r)
{
    struct receipt_public_key key;

    TRY(find_key(&key, r));
    const struct key_out out = { str_from(key.key_id), STR("Ed25519"),
                                 receipt_public_key_pem(r->arena, &key) };
    return reply(r, &out);
}

static enum result signing_key_pem_get(struct request *r)
{
    struct receipt_public_key key;

    TRY(find_key(&key, r));
    return reply_text(r, 200, "application/x-pem-file", receipt_public_key_pem(r->arena, &key));
}

const struct route receipt_routes[] = {
    { ROUTE(GET, "/api/v2/receipts", receipts_get), .etag = true, .permission = "receipts.read",
      INPUT(struct receipt_list_in, list_in), .reply = list_out, .tag = "Receipts",
      .doc = "List receipts, newest first" },
    { ROUTE(GET, "/api/v2/receipts/signing-key", signing_key_get), .etag = true, .public = true,
      INPUT(struct key_in, key_in), .reply = key_out, ERRORS(ERR_NOT_FOUND), .tag = "Receipts",
      .doc = "A public key that checks receipts" },
    { ROUTE(GET, "/.well-known/aragora-odr-signing-key", signing_key_pem_get), .etag = true,
      .public = true, INPUT(struct key_in, key_in), .reply_type = "application/x-pem-file",
      ERRORS(ERR_NOT_FOUND), .tag = "Receipts", .doc = "The same as PEM" },
    { ROUTE(GET, "/api/v2/receipts/{receipt_id}", receipt_get), .etag = true,
      .permission = "receipts.read", INPUT(struct receipt_id_in, id_in), .reply = receipt_out,
      ERRORS(ERR_RECEIPT_NOT_FOUND), .tag = "Receipts", .doc = "One receipt" },
    { ROUTE(GET, "/api/v2/receipts/{receipt_id}/export", receipt_export), .etag = true,
      .permission = "receipts.read", INPUT(struct export_in, export_in),
      .reply_type = "application/json, application/x-ndjson",
      ERRORS(ERR_RECEIPT_NOT_FOUND, ERR_ERASED), .tag = "Receipts",
      .doc = "The receipt as a file, in its native or its public form" },
    { ROUTE(GET, "/api/v2/receipts/{receipt_id}/texts", receipt_texts), .etag = true,
      .permission = "debates.read", INPUT(struct receipt_id_in, id_in), .reply = texts_out,
      ERRORS(ERR_RECEIPT_NOT_FOUND, ERR_ERASED), .tag = "Receipts",
      .doc = "The texts with the salts that prove them" },
    { ROUTE(POST, "/api/v2/receipts/{receipt_id}/verify", receipt_verify_post),
      .permission = "receipts.verify", .body_optional = true, INPUT(struct receipt_id_in, id_in),
      .reply = verified_out, ERRORS(ERR_RECEIPT_NOT_FOUND), .tag = "Receipts",
      .doc = "Check digest, signature and chain" },
    { 0 },
};
