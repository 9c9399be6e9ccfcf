#include "common/store/receipts.h"

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/settings.h"
#include "common/store/meta.h"

#define META_REAL STR("receipt_key")
#define META_DEMO STR("demo_receipt_key")

static enum result signer_open(struct receipt_key **out, struct arena *arena, struct db *db,
                               struct str meta, const char *file)
{
    struct receipt_key *key;
    struct receipt_public_key known;
    struct str pem;
    enum result found = meta_find(&pem, db, meta);

    if (found != ERR_NOT_FOUND)
        TRY(found);
    TRY(receipt_key_open(&key, arena, data_path(arena, file), found == ERR_NOT_FOUND));
    if (found == ERR_NOT_FOUND)
        TRY(meta_settle(&pem, db, meta, receipt_public_key_pem(arena, receipt_key_public(key))));
    TRY(receipt_public_key_parse(&known, pem));
    if (memcmp(known.raw, receipt_key_public(key)->raw, sizeof(known.raw)) != 0)
        return ERR_KEY;
    *out = key;
    return OK;
}

enum result receipt_signers_open(struct receipt_signers *out, struct arena *arena, struct db *db)
{
    struct receipt_signers signers;

    TRY(signer_open(&signers.real, arena, db, META_REAL, "keys/receipt.pem"));
    TRY(signer_open(&signers.demo, arena, db, META_DEMO, "keys/demo-receipt.pem"));
    *out = signers;
    return OK;
}

enum result receipt_key_find(struct receipt_public_key *out, struct db *db, struct str key_id)
{
    const struct str rows[] = { META_REAL, META_DEMO };
    struct receipt_public_key key;
    struct str pem;

    for (size_t i = 0; i < COUNT(rows); i++) {
        enum result result = meta_find(&pem, db, rows[i]);

        if (result == ERR_NOT_FOUND)
            continue;
        TRY(result);
        TRY(receipt_public_key_parse(&key, pem));
        if (key_id.at ? str_is(key_id, key.key_id) : i == 0) {
            *out = key;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

struct head {
    int64_t position;
    struct str hash; /* of the entry before */
    struct utc now;
};

static const struct field head_row[] = {
    { FIELD(struct head, position) },
    { FIELD(struct head, hash) },
    { FIELD(struct head, now) },
    { 0 },
};

/* Takes the organisation's lock on its chain and the next place in it. */
static enum result head_take(struct head *out, struct db *db)
{
    return db_one(out, db, head_row, ERR_INTERNAL,
                  "INSERT INTO receipt_heads (org_id, position, hash) VALUES ($1, 1, $2)"
                  " ON CONFLICT (org_id) DO UPDATE SET position = receipt_heads.position + 1"
                  " RETURNING position, hash, (SELECT now_us())",
                  BIND(STR(RECEIPT_CHAIN_START)));
}

static enum result chain_append(struct db *db, const struct head *head, struct str kind,
                                struct str subject, struct str digest)
{
    CLEANUP(buf_free) struct buf body = { 0 };
    struct str hash;

    /* The members in the order of RFC 8785. */
    buf_str(&body, STR("{\"digest\":"));
    buf_json_str(&body, digest);
    buf_str(&body, STR(",\"kind\":"));
    buf_json_str(&body, kind);
    buf_printf(&body, ",\"position\":%lld,\"prev_hash\":", (long long)head->position);
    buf_json_str(&body, head->hash);
    buf_str(&body, STR(",\"subject\":"));
    buf_json_str(&body, subject);
    buf_char(&body, '}');
    TRY(receipt_chain_hash(&hash, db_arena(db), buf_view(&body)));
    TRY(db_run(NULL, db,
               "INSERT INTO receipt_chain (org_id, position, kind, body, prev_hash, hash)"
               " VALUES ($1, $2, $3, $4, $5, $6)",
               BIND(head->position, kind, buf_view(&body), head->hash, hash)));
    return db_run(NULL, db, "UPDATE receipt_heads SET hash = $2 WHERE org_id = $1", BIND(hash));
}

enum result receipt_append(struct receipt_row *out, struct db *db,
                           const struct receipt_facts *facts, const struct receipt_signers *signers)
{
    struct receipt_facts placed = *facts;
    struct receipt receipt;
    struct head head;

    TRY(head_take(&head, db));
    placed.position = head.position;
    placed.prev_hash = head.hash;
    placed.created_at = head.now;
    TRY(receipt_build(&receipt, db_arena(db), &placed,
                      facts->is_demo ? signers->demo : signers->real));
    TRY(db_run(NULL, db,
               "INSERT INTO receipts (org_id, receipt_id, subject_id, position, verdict,"
               " confidence, native, digest, signature, key_id, created_at)"
               " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
               BIND(placed.receipt_id, placed.debate_id, placed.position, placed.verdict,
                    placed.confidence, receipt.document, receipt.digest, receipt.signature,
                    receipt.key_id, placed.created_at)));
    TRY(chain_append(db, &head, STR("receipt"), placed.receipt_id, receipt.digest));
    *out = (struct receipt_row){ .receipt_id = placed.receipt_id,
                                 .debate_id = placed.debate_id,
                                 .verdict = placed.verdict,
                                 .digest = receipt.digest,
                                 .signature = receipt.signature,
                                 .key_id = receipt.key_id,
                                 .native = receipt.document,
                                 .task = placed.task,
                                 .confidence = placed.confidence,
                                 .position = placed.position,
                                 .created_at = placed.created_at };
    return OK;
}

#define RECEIPT_COLUMNS                                                                            \
    "r.receipt_id, r.subject_id, r.verdict, r.digest, r.signature, r.key_id, r.native, d.task,"    \
    " r.confidence, r.position, r.created_at"                                                      \
    " FROM receipts r LEFT JOIN debates d ON d.org_id = r.org_id AND d.debate_id = r.subject_id"

static const struct field receipt_columns[] = {
    { FIELD(struct receipt_row, receipt_id) }, { FIELD(struct receipt_row, debate_id) },
    { FIELD(struct receipt_row, verdict) },    { FIELD(struct receipt_row, digest) },
    { FIELD(struct receipt_row, signature) },  { FIELD(struct receipt_row, key_id) },
    { FIELD(struct receipt_row, native) },     { FIELD(struct receipt_row, task) },
    { FIELD(struct receipt_row, confidence) }, { FIELD(struct receipt_row, position) },
    { FIELD(struct receipt_row, created_at) }, { 0 },
};

enum result receipt_find(struct receipt_row *out, struct db *db, struct str id)
{
    return db_one(out, db, receipt_columns, ERR_RECEIPT_NOT_FOUND,
                  "SELECT " RECEIPT_COLUMNS
                  " WHERE r.org_id = $1 AND (r.receipt_id = $2 OR r.subject_id = $2)",
                  BIND(id));
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
};

static const struct field link_row[] = {
    { FIELD(struct link, body) },
    { FIELD(struct link, prev_hash) },
    { FIELD(struct link, hash) },
    { FIELD(struct link, before) },
    { 0 },
};

static bool link_holds(struct db *db, const struct link *link, struct str digest)
{
    struct json_object *body;
    struct str prev_hash, named, hash;

    return receipt_chain_hash(&hash, db_arena(db), link->body) == OK &&
           json_parse(&body, db_arena(db), link->body, &json_limits_wide, NULL) == OK &&
           json_get_str(&named, body, "digest") && json_get_str(&prev_hash, body, "prev_hash") &&
           str_eq(hash, link->hash) && str_eq(named, digest) &&
           str_eq(prev_hash, link->prev_hash) && str_eq(prev_hash, link->before);
}

enum result receipt_chain_check(struct str *problem, struct db *db,
                                const struct receipt_row *receipt)
{
    struct link link;
    enum result result =
        db_one(&link, db, link_row, ERR_NOT_FOUND,
               "SELECT c.body, c.prev_hash, c.hash, COALESCE(p.hash, $3) FROM receipt_chain c"
               " LEFT JOIN receipt_chain p ON p.org_id = c.org_id AND p.position = c.position - 1"
               " WHERE c.org_id = $1 AND c.position = $2",
               BIND(receipt->position, STR(RECEIPT_CHAIN_START)));

    if (result != OK && result != ERR_NOT_FOUND)
        return result;
    *problem = result == ERR_NOT_FOUND ? STR("The chain has no entry at the receipt's place.")
               : link_holds(db, &link, receipt->digest)
                   ? STR_NONE
                   : STR("The chain does not hold at the receipt's place.");
    return OK;
}
