#include "common/store/receipts.h"

#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/store/receipt_chain.h"

/* Nobody else knows the id of the run: by it, the digest of a short public form cannot be found by
 * trying once the form is erased. */
static enum result odr_made(struct odr out[ODR_VERSIONS], struct db *db,
                            const struct receipt_facts *facts, const struct receipt *native,
                            const struct odr_draft *signer)
{
    struct odr_draft draft = *signer;

    draft.facts = facts;
    draft.native_digest = native->digest;
    draft.execution_id = id_random(db_arena(db), "exec_", 32);
    return odr_build(out, db_arena(db), &draft);
}

static enum result receipt_insert(struct db *db, const struct receipt_row *row,
                                  const struct odr odr[ODR_VERSIONS])
{
    return db_run(NULL, db,
                  "INSERT INTO receipts (org_id, receipt_id, subject_id, position, verdict,"
                  " confidence, native, odr, odr_v01, digest, signature, key_id, created_at)"
                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                  BIND(row->receipt_id, row->debate_id, row->position, row->verdict,
                       row->confidence, row->native, odr[ODR_0_2].document, odr[ODR_0_1].document,
                       row->digest, row->signature, row->key_id, row->created_at));
}

static enum result entry_append(struct db *db, const struct chain_head *head,
                                const struct receipt_row *row, const struct odr odr[ODR_VERSIONS])
{
    const struct chain_facts facts = { .position = head->position,
                                       .prev_hash = head->prev_hash,
                                       .kind = STR("receipt"),
                                       .subject = row->receipt_id,
                                       .digest = row->digest,
                                       .odr_digest = odr[ODR_0_2].digest,
                                       .odr_signature = odr[ODR_0_2].signature,
                                       .odr_digest_v01 = odr[ODR_0_1].digest,
                                       .odr_signature_v01 = odr[ODR_0_1].signature };
    struct chain_entry entry;

    TRY(chain_entry_write(&entry, db_arena(db), &facts));
    return receipt_chain_append(db, head, facts.kind, &entry);
}

static struct receipt_row row_of(const struct receipt_facts *facts, const struct receipt *receipt)
{
    return (struct receipt_row){ .receipt_id = facts->receipt_id,
                                 .debate_id = facts->debate_id,
                                 .verdict = facts->verdict,
                                 .digest = receipt->digest,
                                 .signature = receipt->signature,
                                 .key_id = receipt->key_id,
                                 .native = receipt->document,
                                 .task = facts->task,
                                 .confidence = facts->confidence,
                                 .position = facts->position,
                                 .created_at = facts->created_at };
}

enum result receipt_append(struct receipt_row *out, struct db *db,
                           const struct receipt_facts *facts, const struct receipt_signers *signers)
{
    struct receipt_facts placed = *facts;
    struct odr_draft signer = { .issuer = facts->is_demo ? STR("demo") : signers->issuer };
    struct odr odr[ODR_VERSIONS];
    struct receipt receipt;
    struct chain_head head;

    TRY(receipt_chain_take(&head, db));
    TRY(receipt_signer(&signer.key, db, signers, facts->is_demo));
    placed.position = head.position;
    placed.prev_hash = head.prev_hash;
    placed.created_at = head.now;
    TRY(receipt_build(&receipt, db_arena(db), &placed, signer.key));
    TRY(odr_made(odr, db, &placed, &receipt, &signer));
    struct receipt_row row = row_of(&placed, &receipt);
    TRY(receipt_insert(db, &row, odr));
    TRY(entry_append(db, &head, &row, odr));
    *out = row;
    return OK;
}

#define RECEIPT_COLUMNS                                                                            \
    "r.receipt_id, r.subject_id, r.verdict, r.digest, r.signature, r.key_id, r.native,"            \
    " NULLIF(d.task, ''), COALESCE(d.task, '') = '', r.confidence, r.position, r.created_at"       \
    " FROM receipts r LEFT JOIN debates d ON d.org_id = r.org_id AND d.debate_id = r.subject_id"

static const struct field receipt_columns[] = {
    { FIELD(struct receipt_row, receipt_id) },
    { FIELD(struct receipt_row, debate_id) },
    { FIELD(struct receipt_row, verdict) },
    { FIELD(struct receipt_row, digest) },
    { FIELD(struct receipt_row, signature) },
    { FIELD(struct receipt_row, key_id) },
    { FIELD(struct receipt_row, native) },
    { FIELD(struct receipt_row, task) },
    { FIELD(struct receipt_row, erased) },
    { FIELD(struct receipt_row, confidence) },
    { FIELD(struct receipt_row, position) },
    { FIELD(struct receipt_row, created_at) },
    { 0 },
};

enum result receipt_find(struct receipt_row *out, struct db *db, struct str id)
{
    return db_one(out, db, receipt_columns, ERR_RECEIPT_NOT_FOUND,
                  "SELECT " RECEIPT_COLUMNS
                  " WHERE r.org_id = $1 AND (r.receipt_id = $2 OR r.subject_id = $2)",
                  BIND(id));
}

struct form {
    struct str document; /* STR_NONE: there is none, or no more */
    bool erased;
};

static const struct field form_row[] = {
    { FIELD(struct form, document) },
    { FIELD(struct form, erased) },
    { 0 },
};

enum result receipt_odr(struct str *out, struct db *db, struct str receipt_id,
                        enum odr_version version)
{
    struct form form;

    TRY(db_one(&form, db, form_row, ERR_RECEIPT_NOT_FOUND,
               "SELECT CASE WHEN $3 = '0.1' THEN r.odr_v01 ELSE r.odr END,"
               " COALESCE(d.task, '') = '' FROM receipts r"
               " LEFT JOIN debates d ON d.org_id = r.org_id AND d.debate_id = r.subject_id"
               " WHERE r.org_id = $1 AND r.receipt_id = $2",
               BIND(receipt_id, version == ODR_0_1 ? STR("0.1") : STR("0.2"))));
    if (form.erased)
        return ERR_ERASED;
    if (!form.document.at)
        return ERR_RECEIPT_NOT_FOUND; /* of a time before there were public forms */
    *out = form.document;
    return OK;
}

struct number {
    int64_t value;
};

static const struct field number_row[] = { { FIELD(struct number, value) }, { 0 } };

#define RECEIPT_MATCHES                                                                            \
    " WHERE r.org_id = $1 AND ($2 = '' OR r.subject_id = $2) AND ($3 = '' OR r.verdict = $3)"      \
    " AND r.created_at >= $4 AND r.created_at < $5"

enum result receipt_list(struct list *out, int64_t *total, struct db *db,
                         const struct receipt_filter *filter)
{
    struct str debate_id = filter->debate_id.at ? filter->debate_id : STR("");
    struct str verdict = filter->verdict.at ? filter->verdict : STR("");
    int64_t to = filter->to.us ? filter->to.us : INT64_MAX;
    struct number count;

    TRY(db_one(&count, db, number_row, ERR_INTERNAL,
               "SELECT COUNT(*) FROM receipts r" RECEIPT_MATCHES,
               BIND(debate_id, verdict, filter->from.us, to)));
    const struct binds binds =
        BIND(debate_id, verdict, filter->from.us, to, filter->limit, filter->offset);
    if (filter->oldest_first)
        TRY(db_all(out, db, receipt_columns, sizeof(struct receipt_row),
                   "SELECT " RECEIPT_COLUMNS RECEIPT_MATCHES
                   " ORDER BY r.created_at, r.receipt_id LIMIT $6 OFFSET $7",
                   binds));
    else
        TRY(db_all(out, db, receipt_columns, sizeof(struct receipt_row),
                   "SELECT " RECEIPT_COLUMNS RECEIPT_MATCHES
                   " ORDER BY r.created_at DESC, r.receipt_id DESC LIMIT $6 OFFSET $7",
                   binds));
    *total = count.value;
    return OK;
}

struct link {
    struct str body, prev_hash, hash, before; /* before: the hash of the entry before */
    struct str odr, odr_v01;                  /* STR_NONE: erased */
};

static const struct field link_row[] = {
    { FIELD(struct link, body) },
    { FIELD(struct link, prev_hash) },
    { FIELD(struct link, hash) },
    { FIELD(struct link, before) },
    { FIELD(struct link, odr) },
    { FIELD(struct link, odr_v01) },
    { 0 },
};

static bool names(struct json_object *body, const char *member, struct str digest)
{
    struct str named;

    return json_get_str(&named, body, member) && str_eq(named, digest);
}

static bool names_odr(struct arena *arena, struct json_object *body, const char *member,
                      struct str document)
{
    return !document.at || names(body, member, odr_document_digest(arena, document));
}

static bool link_holds(struct arena *arena, const struct link *link, struct str digest)
{
    struct json_object *body;
    struct str hash;

    return chain_hash(&hash, arena, link->body) == OK && str_eq(hash, link->hash) &&
           json_parse(&body, arena, link->body, &json_limits_wide, NULL) == OK &&
           names(body, "digest", digest) && names(body, "prev_hash", link->prev_hash) &&
           str_eq(link->prev_hash, link->before) &&
           names_odr(arena, body, "odr_digest", link->odr) &&
           names_odr(arena, body, "odr_digest_v01", link->odr_v01);
}

enum result receipt_chain_check(struct str *problem, struct db *db,
                                const struct receipt_row *receipt)
{
    struct link link;
    enum result result =
        db_one(&link, db, link_row, ERR_NOT_FOUND,
               "SELECT c.body, c.prev_hash, c.hash, COALESCE(p.hash, $3), r.odr, r.odr_v01"
               " FROM receipt_chain c"
               " LEFT JOIN receipt_chain p ON p.org_id = c.org_id AND p.position = c.position - 1"
               " LEFT JOIN receipts r ON r.org_id = c.org_id AND r.receipt_id = $4"
               " WHERE c.org_id = $1 AND c.position = $2",
               BIND(receipt->position, STR(CHAIN_START), receipt->receipt_id));

    if (result != OK && result != ERR_NOT_FOUND)
        return result;
    *problem = result == ERR_NOT_FOUND ? STR("The chain has no entry at the receipt's place.")
               : link_holds(db_arena(db), &link, receipt->digest)
                   ? STR_NONE
                   : STR("The chain does not hold at the receipt's place.");
    return OK;
}
