/* test_odr.c - Open Decision Receipts and chain files: built, and checked when good and bad. */
#include "common/base/crypto.h"
#include "common/base/file.h"
#include "common/receipt/chain.h"
#include "common/receipt/jcs.h"
#include "common/receipt/odr.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena *arena;
static struct receipt_key *key, *other;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    return receipt_key_new(&key, arena) == OK && receipt_key_new(&other, arena) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct receipt_participant participants[] = {
    { STR("ann"), STR("anthropic"), STR("claude") },
    { STR("bob"), STR("openai"), STR_NONE },
    { STR("cleo"), STR_NONE, STR_NONE },
};
static struct receipt_vote votes[] = {
    { STR("ann"), STR("proposer"), STANCE_SUPPORT, STR("Mine."), { INT64_C(1769076000000000) } },
    { STR("bob"), STR("critic"), STANCE_DISSENT, STR("Too \"soon\"."), { 0 } },
    { STR("cleo"), STR("critic"), STANCE_ABSTAIN, STR_NONE, { 0 } },
};
static struct receipt_critique critiques[] = {
    { STR("bob"), STR("No way back."), 9 },
    { STR("bob"), STR("No tests."), 7 },
    { STR("cleo"), STR("No name."), 4 },
    { STR("cleo"), STR("A typing error."), 3.9 },
};

static struct receipt_facts facts_made(void)
{
    return (struct receipt_facts){
        .receipt_id = STR("rcpt_1"),
        .debate_id = STR("debate_1"),
        .position = 1,
        .prev_hash = STR(CHAIN_START),
        .created_at = { INT64_C(1769076000123456) },
        .task = STR("Ship on Friday?"),
        .final_answer = STR("No \xe2\x80\x94 on Monday."),
        .verdict = STR("APPROVED"),
        .confidence = 0.85,
        .consensus = { true, STR("majority"), STR("strong") },
        .participants = { participants, COUNT(participants) },
        .reasoning = STR("Two of three."),
        .votes = { votes, COUNT(votes) },
        .critiques = { critiques, COUNT(critiques) },
    };
}

static struct odr_draft draft_of(const struct receipt_facts *facts)
{
    return (struct odr_draft){ .facts = facts,
                               .native_digest = STR(CHAIN_START),
                               .execution_id = STR("exec_1"),
                               .issuer = STR("example.org"),
                               .key = key };
}

static void build(struct odr out[ODR_VERSIONS], const struct receipt_facts *facts)
{
    struct odr_draft draft = draft_of(facts);

    assert_int_equal(odr_build(out, arena, &draft), OK);
}

static struct receipt_report verified(struct str document, const struct receipt_key *trusted)
{
    struct receipt_report report;

    odr_verify(&report, arena, document, trusted ? receipt_key_public(trusted) : NULL);
    assert_true(report.reason.len > 0);
    return report;
}

static bool contains(struct str text, struct str part)
{
    size_t place;

    return str_find(&place, text, part);
}

/* The document with one part replaced. */
static struct str altered(struct str document, struct str from, struct str to)
{
    size_t at;

    if (!str_find(&at, document, from))
        fail_msg("no " STR_FMT " in " STR_FMT, STR_ARG(from), STR_ARG(document));
    return arena_printf(arena, STR_FMT STR_FMT STR_FMT, STR_ARG(str_slice(document, 0, at)),
                        STR_ARG(to), STR_ARG(str_slice(document, at + from.len, document.len)));
}

static void the_document_is_made_of_the_facts(void **state)
{
    static const struct str parts[] = {
        STR("{\"attestation\":{\"disposition\":\"autonomous\",\"execution_identity\":{\"id\":"
            "\"exec_1\",\"name\":\"aragora-debated\",\"role\":\"executor\"}}"),
        STR("\"claim\":{\"statement\":\"No \xe2\x80\x94 on Monday.\",\"verdict\":\"APPROVED\"}"),
        STR("\"issued_at\":\"2026-01-22T10:00:00.123456Z\""),
        STR("\"blocking\":true,\"dissenting_agents\":[\"bob\"],\"findings\":["
            "{\"blocking\":true,\"issuer\":\"bob\",\"severity\":\"P0\",\"text\":\"No way back.\"},"
            "{\"blocking\":true,\"issuer\":\"bob\",\"severity\":\"P1\",\"text\":\"No tests.\"},"
            "{\"blocking\":false,\"issuer\":\"cleo\",\"severity\":\"P2\",\"text\":\"No name.\"},"
            "{\"blocking\":false,\"issuer\":\"cleo\",\"severity\":\"P3\","
            "\"text\":\"A typing error.\"}],\"present\":true,\"severity_max\":\"P0\","
            "\"views\":[\"bob: Too \\\"soon\\\".\"]}"),
        STR("\"independence\":{\"disclosed\":false,\"distinct_model_families\":2,"
            "\"model_families\":[\"anthropic\",\"openai\"]}"),
        STR("{\"agent\":\"bob\",\"model_family\":\"openai\",\"model_id\":\"undisclosed\"}"),
        STR("\"supporting_agents\":[\"ann\"]"),
        STR("{\"counted\":true,\"issuer\":\"ann\",\"model_family\":\"anthropic\",\"model_id\":"
            "\"claude\",\"posted_at\":\"2026-01-22T10:00:00Z\",\"role\":\"proposer\","
            "\"verdict\":\"support\"}"),
        STR("{\"counted\":false,\"issuer\":\"cleo\",\"model_family\":\"undisclosed\",\"model_id\":"
            "\"undisclosed\",\"role\":\"critic\",\"verdict\":\"abstain\"}"),
        STR("\"reasoning\":{\"status\":\"present\",\"summary\":\"Two of three.\"}"),
        STR("\"schema\":\"aragora.receipt/1\""),
        STR("\"issuer\":\"example.org\""),
    };
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];
    struct str canonical;

    (void)state;
    build(odr, &facts);
    for (size_t i = 0; i < COUNT(parts); i++)
        if (!contains(odr[ODR_0_2].document, parts[i]))
            fail_msg("no " STR_FMT " in " STR_FMT, STR_ARG(parts[i]),
                     STR_ARG(odr[ODR_0_2].document));
    for (size_t i = 0; i < ODR_VERSIONS; i++) {
        assert_int_equal(jcs_text(&canonical, arena, odr[i].document), OK);
        assert_true(str_eq(canonical, odr[i].document));
        assert_true(str_eq(odr_document_digest(arena, odr[i].document), odr[i].digest));
        assert_true(contains(odr[i].document, odr[i].signature.text));
    }
}

static void what_the_facts_lack_is_marked_absent(void **state)
{
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];

    (void)state;
    facts.final_answer = facts.reasoning = STR_NONE;
    facts.participants = facts.votes = facts.critiques = (struct list){ 0 };
    facts.consensus.reached = false;
    struct odr_draft draft = draft_of(&facts);
    draft.issuer = STR_NONE;
    assert_int_equal(odr_build(odr, arena, &draft), OK);
    assert_true(contains(odr[ODR_0_2].document, STR("\"statement\":{\"reason\":\"The debate")));
    assert_true(contains(odr[ODR_0_2].document, STR("\"reasoning\":{\"reason\":\"The debate")));
    assert_true(contains(odr[ODR_0_2].document, STR("\"confidence\":{\"reason\":")));
    assert_false(contains(odr[ODR_0_2].document, STR("\"issuer\"")));
    assert_false(contains(odr[ODR_0_2].document, STR("severity_max")));
    for (size_t i = 0; i < ODR_VERSIONS; i++)
        assert_int_equal(verified(odr[i].document, key).outcome, RECEIPT_VERIFIED);
}

static void beside_a_judge_votes_are_heard_and_not_counted(void **state)
{
    struct receipt_vote judged[] = {
        { STR("cleo"), STR("judge"), STANCE_SUPPORT, .reason = STR_NONE },
        { STR("bob"), STR("critic"), STANCE_DISSENT, STR("Late."), .advisory = true },
    };
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];

    (void)state;
    facts.consensus.method = facts.consensus.judge = STR("judge");
    facts.votes = (struct list){ judged, COUNT(judged) };
    build(odr, &facts);
    struct str text = odr[ODR_0_2].document;
    assert_true(contains(text, STR("\"supporting_agents\":[\"cleo\"]")));
    assert_true(contains(text, STR("\"dissenting_agents\":[\"bob\"]")));
    assert_true(contains(text, STR("{\"counted\":true,\"issuer\":\"cleo\"")));
    assert_true(contains(text, STR("{\"counted\":false,\"issuer\":\"bob\"")));
    assert_true(contains(text, STR("The judge is not calibrated.")));
    for (int version = 0; version < ODR_VERSIONS; version++)
        assert_int_equal(verified(odr[version].document, key).outcome, RECEIPT_VERIFIED);
}

static void who_was_absent_is_told_with_the_reason(void **state)
{
    struct receipt_absence absent[] = {
        { STR("bob"), STR("vote"), STR("timeout") },
        { STR("cleo"), STR("proposal"), STR("auth") },
    };
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];
    struct receipt native;

    (void)state;
    facts.absent = (struct list){ absent, COUNT(absent) };
    build(odr, &facts);
    for (int version = 0; version < ODR_VERSIONS; version++) {
        assert_true(
            contains(odr[version].document, STR("bob was absent (vote: timeout). cleo was")));
        assert_int_equal(verified(odr[version].document, key).outcome, RECEIPT_VERIFIED);
    }
    assert_true(contains(odr[ODR_0_2].document, STR("\"family\":\"openai\",\"kind\":\"timeout\"")));
    assert_true(
        contains(odr[ODR_0_2].document, STR("\"family\":\"undisclosed\",\"kind\":\"failure\"")));
    assert_false(contains(odr[ODR_0_1].document, STR("observations")));
    assert_int_equal(receipt_build(&native, arena, &facts, key), OK);
    assert_true(contains(native.document, STR("{\"agent\":\"bob\",\"phase\":\"vote\",")));
}

static void a_demo_says_so(void **state)
{
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];

    (void)state;
    facts.is_demo = true;
    build(odr, &facts);
    for (size_t i = 0; i < ODR_VERSIONS; i++) {
        assert_true(contains(odr[i].document, STR("\"model_families\":[\"demo\"]")));
        assert_true(verified(odr[i].document, key).is_demo);
    }
}

static void facts_that_no_receipt_can_hold_are_refused(void **state)
{
    struct receipt_facts cases[6];
    struct odr odr[ODR_VERSIONS];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        cases[i] = facts_made();
    cases[0].receipt_id = STR("");
    cases[1].created_at.us = 0;
    cases[2].task = STR_NONE;
    cases[3].verdict = STR_NONE;
    cases[4].consensus.method = STR_NONE;
    cases[5].final_answer = STR("\xff");
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct odr_draft draft = draft_of(&cases[i]);

        if (odr_build(odr, arena, &draft) != ERR_VALIDATION)
            fail_msg("case %zu is accepted", i);
    }
}

static void only_the_key_that_signed_verifies(void **state)
{
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];

    (void)state;
    build(odr, &facts);
    for (size_t i = 0; i < ODR_VERSIONS; i++) {
        struct receipt_report report = verified(odr[i].document, key);
        struct str renamed = altered(odr[i].document, str_from(receipt_key_public(key)->key_id),
                                     str_from(receipt_key_public(other)->key_id));

        assert_int_equal(report.outcome, RECEIPT_VERIFIED);
        assert_true(str_is(report.receipt_id, "rcpt_1") && str_eq(report.digest, odr[i].digest));
        assert_true(str_is(report.key_id, receipt_key_public(key)->key_id));
        assert_false(report.is_demo);
        assert_int_equal(verified(odr[i].document, NULL).outcome, RECEIPT_UNPROVEN);
        assert_int_equal(verified(odr[i].document, other).outcome, RECEIPT_FAILED);
        assert_int_equal(verified(renamed, other).outcome, RECEIPT_FAILED);
        /* In 0.1 the name of the key is not signed: that the key is another's shows. */
        assert_int_equal(verified(renamed, key).outcome, RECEIPT_FAILED);
    }
}

static void a_signature_may_be_hexadecimal(void **state)
{
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];
    struct json_object *entry;
    char hex[2 * SIGNATURE_BYTES];
    unsigned char raw[SIGNATURE_BYTES];
    struct str text;

    (void)state;
    build(odr, &facts);
    assert_int_equal(
        json_parse(&entry, arena, odr[ODR_0_2].signature.text, &json_limits_wide, NULL), OK);
    assert_true(json_get_str(&text, entry, "signature"));
    assert_true(receipt_signature_parse(raw, arena, text));
    hex_text(hex, raw, sizeof(raw));
    struct str document = altered(odr[ODR_0_2].document, text, (struct str){ hex, sizeof(hex) });
    assert_int_equal(verified(document, key).outcome, RECEIPT_VERIFIED);
}

static void one_bad_signature_under_the_trusted_name_spoils_the_good_one(void **state)
{
    struct receipt_facts facts = facts_made();
    struct odr mine[ODR_VERSIONS], theirs[ODR_VERSIONS];
    struct odr_draft draft = draft_of(&facts);

    (void)state;
    build(mine, &facts);
    draft.key = other;
    assert_int_equal(odr_build(theirs, arena, &draft), OK);
    struct str entry = mine[ODR_0_2].signature.text;
    struct str both = arena_printf(arena, STR_FMT "," STR_FMT, STR_ARG(entry),
                                   STR_ARG(theirs[ODR_0_2].signature.text));
    struct str document = altered(mine[ODR_0_2].document, entry, both);
    /* A second signer does not disturb the first. */
    assert_int_equal(verified(document, key).outcome, RECEIPT_VERIFIED);
    assert_int_equal(verified(document, other).outcome, RECEIPT_VERIFIED);
    struct str relabelled = altered(document, str_from(receipt_key_public(other)->key_id),
                                    str_from(receipt_key_public(key)->key_id));
    assert_int_equal(verified(relabelled, key).outcome, RECEIPT_FAILED);
    assert_int_equal(verified(altered(mine[ODR_0_2].document, entry, STR("")), key).outcome,
                     RECEIPT_UNPROVEN);
}

static void no_single_byte_can_be_changed(void **state)
{
    static const unsigned char flips[] = { 1, 2, 4, 8, 16, 32, 64, 128, 6, 0x70 };
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];
    struct arena *scratch = arena_new();

    (void)state;
    build(odr, &facts);
    for (size_t version = 0; version < ODR_VERSIONS; version++) {
        struct str document = odr[version].document;
        char *copy = arena_array(arena, document.len + 1, 1);
        struct str changed = { copy, document.len };

        memcpy(copy, document.at, document.len);
        for (size_t i = 0; i < changed.len; i++) {
            for (size_t flip = 0; flip < COUNT(flips); flip++) {
                struct receipt_report report;

                copy[i] = (char)(document.at[i] ^ flips[flip]);
                odr_verify(&report, scratch, changed, receipt_key_public(key));
                if (report.outcome != RECEIPT_FAILED && report.outcome != RECEIPT_MALFORMED)
                    fail_msg("byte %zu, flip %d: outcome %d", i, flips[flip], report.outcome);
                arena_reset(scratch);
            }
            copy[i] = document.at[i];
        }
        for (size_t len = 0; len < changed.len; len += 7)
            assert_int_equal(verified(str_slice(changed, 0, len), key).outcome, RECEIPT_MALFORMED);
    }
    arena_free(scratch);
}

static void what_does_not_conform_is_told_by_its_place(void **state)
{
    static const struct {
        struct str from, to, reason;
    } cases[] = {
        { STR("\"rcpt_1\",\"routing\""), STR("\"\",\"routing\""), STR("receipt_id: must be") },
        { STR("\"routing\":{\"status\""), STR("\"routing\":{\"state\""),
          STR("routing.status: is missing") },
        { STR("{\"agent\":\"bob\","), STR("{\"agent\":\"bob\",\"x\":1,"),
          STR("quorum.participants[1].x: is an unknown member") },
        { STR("\"alg\":\"Ed25519\""), STR("\"alg\":\"RSA\""), STR("signatures[0].alg: must be") },
        { STR("\"confidence\":{\"reason\""), STR("\"confidence\":{\"why\""),
          STR("confidence.status: must be") },
        { STR("\"attestation\":{"), STR("\"attestation\":null,\"x\":{"),
          STR("attestation: must be an object") },
        { STR("\"odr_version\":\"0.2\""), STR("\"odr_version\":\"0.1\""), STR("this version") },
        { STR("v0.2\""), STR("v0.1\""), STR("profile is not that of odr_version") },
        { STR("[\"bob\"]"), STR("[\"zoe\"]"), STR("zoe is no participant") },
        { STR("[\"ann\"],\"verdicts\""), STR("[\"zoe\"],\"verdicts\""),
          STR("zoe is no participant") },
        { STR("\"issuer\":\"cleo\",\"model_family\""), STR("\"issuer\":\"zoe\",\"model_family\""),
          STR("zoe is no participant") },
        { STR("\"severity_max\":\"P0\""), STR("\"severity_max\":\"P1\""), STR("severity_max") },
    };
    struct receipt_facts facts = facts_made();
    struct odr odr[ODR_VERSIONS];

    (void)state;
    build(odr, &facts);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct receipt_report report =
            verified(altered(odr[ODR_0_2].document, cases[i].from, cases[i].to), key);

        if (report.outcome != RECEIPT_FAILED || !contains(report.reason, cases[i].reason))
            fail_msg("case %zu: %d " STR_FMT, i, report.outcome, STR_ARG(report.reason));
    }
    assert_int_equal(verified(STR("[]"), key).outcome, RECEIPT_FAILED);
    assert_int_equal(verified(STR("null"), key).outcome, RECEIPT_FAILED);
    assert_int_equal(verified(STR("{} {}"), key).outcome, RECEIPT_MALFORMED);
}

/* --- Chains ------------------------------------------------------------------------------ */

struct chain {
    struct buf file;
    struct str prev_hash;
    int64_t position;
};

static void chain_add(struct chain *chain, const struct chain_entry *entry)
{
    assert_int_equal(chain_line(&chain->file, arena, entry), OK);
    chain->prev_hash = entry->hash;
}

static struct chain_facts next_facts(struct chain *chain)
{
    return (struct chain_facts){ .position = ++chain->position,
                                 .prev_hash = chain->prev_hash,
                                 .kind = STR("receipt"),
                                 .subject = STR("rcpt_1") };
}

static void add_receipt(struct chain *chain, const struct receipt_key *signer)
{
    struct receipt_facts facts = facts_made();
    struct odr_draft draft = draft_of(&facts);
    struct chain_facts entry_facts = next_facts(chain);
    struct odr odr[ODR_VERSIONS];
    struct chain_entry entry;

    draft.key = signer;
    assert_int_equal(odr_build(odr, arena, &draft), OK);
    entry_facts.digest = draft.native_digest;
    entry_facts.odr_digest = odr[ODR_0_2].digest;
    entry_facts.odr_signature = odr[ODR_0_2].signature;
    entry_facts.odr_digest_v01 = odr[ODR_0_1].digest;
    entry_facts.odr_signature_v01 = odr[ODR_0_1].signature;
    assert_int_equal(chain_entry_write(&entry, arena, &entry_facts), OK);
    chain_add(chain, &entry);
}

static void add_rotation(struct chain *chain, const struct receipt_key *from,
                         const struct receipt_key *to)
{
    struct chain_facts facts = next_facts(chain);
    struct chain_entry entry;

    assert_int_equal(chain_rotation_write(&entry, arena, &facts, from, to), OK);
    chain_add(chain, &entry);
}

static struct chain_report chain_checked(struct str file, struct str digest,
                                         const struct receipt_key *trusted)
{
    struct chain_report report;

    chain_verify(&report, arena, file, digest, trusted ? receipt_key_public(trusted) : NULL);
    assert_true(report.reason.len > 0);
    return report;
}

static void a_rotation_carries_trust_to_both_sides(void **state)
{
    struct chain chain = { .prev_hash = STR(CHAIN_START) };
    struct receipt_key *third;

    (void)state;
    assert_int_equal(receipt_key_new(&third, arena), OK);
    add_receipt(&chain, key);
    add_rotation(&chain, key, other);
    add_receipt(&chain, other);
    struct str file = buf_view(&chain.file);
    assert_int_equal(chain_checked(file, STR_NONE, NULL).outcome, RECEIPT_UNPROVEN);
    assert_int_equal(chain_checked(file, STR_NONE, key).outcome, RECEIPT_VERIFIED);
    assert_int_equal(chain_checked(file, STR_NONE, other).outcome, RECEIPT_VERIFIED);
    assert_int_equal(chain_checked(file, STR_NONE, other).vouched, 2);
    struct chain_report stranger = chain_checked(file, STR_NONE, third);
    assert_int_equal(stranger.outcome, RECEIPT_UNPROVEN);
    assert_int_equal(stranger.other, 2);
    assert_true(chain_is_file(arena, file));
    assert_true(chain_checked(file, STR(CHAIN_START), NULL).anchored);
    assert_false(chain_checked(file, STR("00"), NULL).anchored);
    buf_free(&chain.file);
}

/* Hashes that fit are no help to whoever cannot sign. */
static struct str rehashed(struct str line)
{
    struct chain_entry entry = { 0 };
    struct json_object *object;
    struct buf *out = arena_buf(arena), *body = arena_buf(arena);

    assert_int_equal(chain_hash(&entry.hash, arena, line), OK);
    assert_int_equal(json_parse(&object, arena, line, &json_limits_wide, NULL), OK);
    json_object_object_del(object, "hash");
    assert_int_equal(jcs_write(body, object), OK);
    entry.body = buf_view(body);
    assert_int_equal(chain_line(out, arena, &entry), OK);
    return buf_view(out);
}

static void a_forged_entry_fails_though_its_hash_fits(void **state)
{
    struct chain chain = { .prev_hash = STR(CHAIN_START) };
    struct receipt_key *third;

    (void)state;
    assert_int_equal(receipt_key_new(&third, arena), OK);
    add_rotation(&chain, key, other);
    struct str rotation = arena_str(arena, buf_view(&chain.file));
    buf_clear(&chain.file);
    chain = (struct chain){ .prev_hash = STR(CHAIN_START), .file = chain.file };
    add_receipt(&chain, key);
    struct str receipt = arena_str(arena, buf_view(&chain.file));

    struct str pem = receipt_public_key_pem(arena, receipt_key_public(third));
    struct buf *quoted = arena_buf(arena), *replaced = arena_buf(arena);
    buf_json_str(quoted, pem);
    buf_json_str(replaced, receipt_public_key_pem(arena, receipt_key_public(other)));
    struct str smuggled = altered(rotation, buf_view(replaced), buf_view(quoted));
    smuggled = altered(smuggled, str_from(receipt_key_public(other)->key_id),
                       str_from(receipt_key_public(third)->key_id));
    const struct str forged[] = {
        smuggled,
        altered(rotation, STR("\"old\":"), STR("\"former\":")),
        altered(rotation, STR("\"subject\":\"e"), STR("\"subject\":\"f")),
        altered(rotation, STR("old_public_key"), STR("older_public_key")),
        altered(receipt, STR("\"issuer\":\"example.org\""), STR("\"issuer\":\"example.com\"")),
        altered(receipt, STR("\"odr_digest\":\""), STR("\"odr_digest\":\"0")),
        altered(receipt, STR("\"odr_signature\":"), STR("\"signature\":")),
        altered(receipt, STR("\"odr_signature_v01\":"), STR("\"signature\":")),
    };
    assert_int_equal(chain_checked(rotation, STR_NONE, key).outcome, RECEIPT_UNPROVEN);
    assert_int_equal(chain_checked(receipt, STR_NONE, key).outcome, RECEIPT_VERIFIED);
    for (size_t i = 0; i < COUNT(forged); i++) {
        struct chain_report report = chain_checked(rehashed(forged[i]), STR_NONE, key);

        if (report.outcome != RECEIPT_FAILED)
            fail_msg("case %zu: %d " STR_FMT, i, report.outcome, STR_ARG(report.reason));
    }
    buf_free(&chain.file);
}

static void what_is_no_chain_is_told(void **state)
{
    static const struct {
        struct str file;
        enum receipt_outcome outcome;
    } cases[] = {
        { STR(""), RECEIPT_MALFORMED },
        { STR("\n \n"), RECEIPT_MALFORMED },
        { STR("x"), RECEIPT_MALFORMED },
        { STR("[]"), RECEIPT_MALFORMED },
        { STR("{}"), RECEIPT_FAILED },
        { STR("{\"hash\":\"ab\",\"prev_hash\":\"" CHAIN_START "\"}"), RECEIPT_FAILED },
        { STR("{\"hash\":1,\"prev_hash\":\"" CHAIN_START "\"}"), RECEIPT_FAILED },
        { STR("{\"hash\":\"" CHAIN_START "\",\"prev_hash\":\"ab\"}"), RECEIPT_FAILED },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (chain_checked(cases[i].file, STR_NONE, key).outcome != cases[i].outcome)
            fail_msg("case %zu", i);
    assert_false(chain_is_file(arena, STR("{\n")));
    assert_false(chain_is_file(arena, STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_is_made_of_the_facts),
        cmocka_unit_test(what_the_facts_lack_is_marked_absent),
        cmocka_unit_test(beside_a_judge_votes_are_heard_and_not_counted),
        cmocka_unit_test(who_was_absent_is_told_with_the_reason),
        cmocka_unit_test(a_demo_says_so),
        cmocka_unit_test(facts_that_no_receipt_can_hold_are_refused),
        cmocka_unit_test(only_the_key_that_signed_verifies),
        cmocka_unit_test(a_signature_may_be_hexadecimal),
        cmocka_unit_test(one_bad_signature_under_the_trusted_name_spoils_the_good_one),
        cmocka_unit_test(no_single_byte_can_be_changed),
        cmocka_unit_test(what_does_not_conform_is_told_by_its_place),
        cmocka_unit_test(a_rotation_carries_trust_to_both_sides),
        cmocka_unit_test(a_forged_entry_fails_though_its_hash_fits),
        cmocka_unit_test(what_is_no_chain_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
