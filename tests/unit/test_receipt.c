/* test_receipt.c - keys, receipts, chain entries. */
#include "common/base/crypto.h"
#include "common/base/file.h"
#include "common/receipt/chain.h"
#include "common/receipt/jcs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A folder of its own, with the arena that everything lives in. */
struct place {
    struct arena *arena;
    char folder[32];
    struct str path; /* FOLDER/keys/receipt.pem, not there yet */
};

static int place_open(void **state)
{
    struct place *place = calloc(1, sizeof(*place));

    if (!place)
        return -1;
    place->arena = arena_new();
    memcpy(place->folder, "/tmp/test_receipt.XXXXXX", sizeof("/tmp/test_receipt.XXXXXX"));
    if (!mkdtemp(place->folder)) {
        arena_free(place->arena);
        free(place);
        return -1;
    }
    place->path = arena_printf(place->arena, "%s/keys/receipt.pem", place->folder);
    *state = place;
    return 0;
}

static int place_close(void **state)
{
    struct place *place = *state;

    (void)unlink(arena_cstr(place->arena, place->path));
    (void)rmdir(arena_printf(place->arena, "%s/keys", place->folder).at);
    (void)rmdir(place->folder);
    arena_free(place->arena);
    free(place);
    return 0;
}

static void assert_text(struct str text, struct str expected)
{
    if (!str_eq(text, expected))
        fail_msg("\"" STR_FMT "\" is not \"" STR_FMT "\"", STR_ARG(text), STR_ARG(expected));
}

static struct receipt_key *key_made(struct place *place)
{
    struct receipt_key *key;

    assert_int_equal(receipt_key_open(&key, place->arena, place->path, true), OK);
    return key;
}

/* A key of another file, which is gone again. */
static struct receipt_key *other_key(struct place *place)
{
    struct str path = arena_printf(place->arena, "%s/other.pem", place->folder);
    struct receipt_key *key;

    assert_int_equal(receipt_key_open(&key, place->arena, path, true), OK);
    assert_int_equal(unlink(path.at), 0);
    return key;
}

static int mode_of(struct str path)
{
    struct stat about;

    assert_int_equal(stat(path.at, &about), 0);
    return (int)(about.st_mode & 07777);
}

static void a_key_file_is_private_and_survives_reopening(void **state)
{
    struct place *place = *state;
    struct receipt_key *first, *again;

    assert_int_equal(receipt_key_open(&first, place->arena, place->path, false), ERR_KEY);
    first = key_made(place);
    again = key_made(place);
    assert_string_equal(receipt_key_public(first)->key_id, receipt_key_public(again)->key_id);
    assert_int_equal(receipt_key_open(&again, place->arena, place->path, false), OK);
    assert_memory_equal(receipt_key_public(first)->raw, receipt_key_public(again)->raw,
                        PUBLIC_KEY_BYTES);
    assert_int_equal(mode_of(place->path), 0600);
    assert_int_equal(mode_of(arena_printf(place->arena, "%s/keys", place->folder)), 0700);
    assert_string_not_equal(receipt_key_public(first)->key_id,
                            receipt_key_public(other_key(place))->key_id);
}

/* In a process of its own: 0, if the pipe took the id of the key. */
static int key_id_sent(struct place *place, int pipe_end)
{
    struct receipt_key *key;

    if (receipt_key_open(&key, place->arena, place->path, true) != OK)
        return 1;
    const char *key_id = receipt_key_public(key)->key_id;
    return write(pipe_end, key_id, KEY_ID_TEXT) == (ssize_t)KEY_ID_TEXT ? 0 : 1;
}

static void processes_that_make_the_key_at_once_share_one(void **state)
{
    enum { MAKERS = 8 };
    char key_id[KEY_ID_TEXT];
    struct place *place = *state;
    int ends[2], status;

    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < MAKERS; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0)
            _exit(key_id_sent(place, ends[1]));
    }
    for (int i = 0; i < MAKERS; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    const char *expected = receipt_key_public(key_made(place))->key_id;
    for (int i = 0; i < MAKERS; i++) {
        assert_int_equal(read(ends[0], key_id, sizeof(key_id)), sizeof(key_id));
        assert_string_equal(key_id, expected);
    }
    close(ends[0]);
    close(ends[1]);
}

/* RFC 8410 7: the 32 secret bytes behind a fixed head. */
static struct str pem_of(struct arena *arena, struct str secret_hex)
{
    unsigned char der[16 + 32] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                   0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };

    assert_true(hex_bytes(der + 16, 32, secret_hex));
    return arena_printf(arena,
                        "-----BEGIN PRIVATE KEY-----\n" STR_FMT "\n-----END PRIVATE KEY-----\n",
                        STR_ARG(base64_text(arena, der, sizeof(der))));
}

static void signatures_match_rfc_8032(void **state)
{
    /* 7.1, tests 1 and 2. */
    static const struct {
        struct str secret, public, message, signature;
    } cases[] = {
        { STR("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"),
          STR("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), STR(""),
          STR("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
              "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b") },
        { STR("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
          STR("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"), STR("\x72"),
          STR("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00") },
    };
    struct place *place = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        unsigned char signature[SIGNATURE_BYTES], expected[SIGNATURE_BYTES], raw[PUBLIC_KEY_BYTES];
        struct receipt_key *key;

        assert_true(hex_bytes(expected, sizeof(expected), cases[i].signature));
        assert_true(hex_bytes(raw, sizeof(raw), cases[i].public));
        assert_int_equal(directory_make(place->arena,
                                        arena_printf(place->arena, "%s/keys", place->folder), 0700),
                         OK);
        assert_int_equal(
            file_write(place->arena, place->path, pem_of(place->arena, cases[i].secret), 0600), OK);
        assert_int_equal(receipt_key_open(&key, place->arena, place->path, false), OK);
        assert_memory_equal(receipt_key_public(key)->raw, raw, sizeof(raw));
        assert_int_equal(receipt_key_sign(signature, key, cases[i].message), OK);
        assert_memory_equal(signature, expected, sizeof(expected));
        if (i == 0)
            assert_string_equal(receipt_key_public(key)->key_id, "ed25519-21fe31dfa154a261");
    }
}

static void a_public_key_is_read_back_and_checks_signatures(void **state)
{
    struct place *place = *state;
    struct receipt_key *key = key_made(place);
    struct receipt_public_key read_back;
    unsigned char signature[SIGNATURE_BYTES];
    struct str pem = receipt_public_key_pem(place->arena, receipt_key_public(key));

    assert_true(str_starts(pem, STR("-----BEGIN PUBLIC KEY-----\n")));
    assert_int_equal(receipt_public_key_parse(&read_back, pem), OK);
    assert_string_equal(read_back.key_id, receipt_key_public(key)->key_id);
    assert_int_equal(receipt_key_sign(signature, key, STR("decided")), OK);
    assert_int_equal(receipt_public_key_verify(&read_back, STR("decided"), signature), OK);
    assert_int_equal(receipt_public_key_verify(&read_back, STR("Decided"), signature),
                     ERR_SIGNATURE);
    assert_int_equal(
        receipt_public_key_verify(receipt_key_public(other_key(place)), STR("decided"), signature),
        ERR_SIGNATURE);
    for (size_t i = 0; i < sizeof(signature); i++) {
        signature[i] ^= 1;
        assert_int_equal(receipt_public_key_verify(&read_back, STR("decided"), signature),
                         ERR_SIGNATURE);
        signature[i] ^= 1;
    }
}

static void what_is_no_ed25519_key_is_refused(void **state)
{
    static const struct str cases[] = {
        STR(""),
        STR("no key"),
        STR("-----BEGIN PUBLIC KEY-----\n"),
        STR("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
        /* X25519, by RFC 8410. */
        STR("-----BEGIN PUBLIC KEY-----\n"
            "MCowBQYDK2VuAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
            "-----END PUBLIC KEY-----\n"),
        STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        /* No question may reach the terminal. */
        STR("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
    };
    struct place *place = *state;

    key_made(place);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct receipt_public_key public;
        struct receipt_key *key;

        assert_int_equal(receipt_public_key_parse(&public, cases[i]), ERR_KEY);
        assert_int_equal(file_write(place->arena, place->path, cases[i], 0600), OK);
        assert_int_equal(receipt_key_open(&key, place->arena, place->path, true), ERR_KEY);
    }
}

static const struct receipt_participant participants[] = {
    { STR("anna"), STR("anthropic"), STR("claude") },
    { STR("otto"), STR_NONE, STR_NONE },
};

static const struct receipt_text texts[] = {
    { STR("message"), STR("anna"), 0,
      STR("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824") },
    { STR("critique"), STR("otto"), 1,
      STR("486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7") },
};

static struct receipt_facts facts_made(void)
{
    return (struct receipt_facts){
        .receipt_id = STR("rcpt_1"),
        .debate_id = STR("debate_1"),
        .position = 7,
        .prev_hash = STR(CHAIN_START),
        .created_at = { INT64_C(1769076000123456) },
        .task = STR("Ship on Friday?"),
        .final_answer = STR("No \xe2\x80\x94 on Monday."),
        .verdict = STR("APPROVED"),
        .confidence = 0.85,
        .consensus = { true, STR("judge"), STR("strong") },
        .participants = { (void *)participants, COUNT(participants) }, /* only read */
        .texts = { (void *)texts, COUNT(texts) },
        .is_demo = true,
    };
}

static struct receipt receipt_made(struct place *place, const struct receipt_key *key)
{
    struct receipt_facts facts = facts_made();
    struct receipt receipt;

    assert_int_equal(receipt_build(&receipt, place->arena, &facts, key), OK);
    return receipt;
}

static enum receipt_outcome outcome_of(struct place *place, struct str document,
                                       const struct receipt_public_key *key)
{
    struct receipt_report report;

    receipt_verify(&report, place->arena, document, key);
    assert_true(report.reason.len > 0);
    return report.outcome;
}

static void a_receipt_is_the_canonical_json_of_its_facts(void **state)
{
    struct place *place = *state;
    struct receipt receipt = receipt_made(place, key_made(place));
    struct str head = STR(
        "{\"absent\":[],\"confidence\":0.85,\"consensus\":{\"method\":\"judge\",\"reached\":true,"
        "\"strength\":\"strong\"},\"created_at\":\"2026-01-22T10:00:00.123456Z\","
        "\"debate_id\":\"debate_1\",\"demo\":true,\"final_answer_sha256\":\"");
    struct str middle = arena_printf(
        place->arena,
        "\"participants\":[{\"agent\":\"anna\",\"model\":\"claude\",\"provider\":\"anthropic\"},"
        "{\"agent\":\"otto\",\"model\":null,\"provider\":null}],\"position\":7,"
        "\"prev_hash\":\"" CHAIN_START "\",\"receipt_id\":\"rcpt_1\","
        "\"schema\":\"aragora.receipt/1\",\"signature\":{\"alg\":\"Ed25519\",\"digest\":\"" STR_FMT
        "\",\"key_id\":\"" STR_FMT "\",\"signature\":\"" STR_FMT "\"},\"task_sha256\":\"" STR_FMT
        "\",\"texts\":[{\"agent\":\"anna\",\"kind\":\"message\",\"round\":0,",
        STR_ARG(receipt.digest), STR_ARG(receipt.key_id), STR_ARG(receipt.signature),
        STR_ARG(sha256_hex(place->arena, STR("Ship on Friday?"))));
    size_t at;

    assert_text(str_slice(receipt.document, 0, head.len), head);
    assert_true(str_find(&at, receipt.document, middle));
    assert_false(str_find(&at, receipt.document, STR("Friday")));
    assert_false(str_find(&at, receipt.document, STR("Monday")));
}

static void a_signed_receipt_verifies_with_the_key_that_signed(void **state)
{
    struct place *place = *state;
    struct receipt_key *key = key_made(place);
    struct receipt receipt = receipt_made(place, key);
    struct receipt_report report;

    receipt_verify(&report, place->arena, receipt.document, receipt_key_public(key));
    assert_int_equal(report.outcome, RECEIPT_VERIFIED);
    assert_text(report.receipt_id, STR("rcpt_1"));
    assert_text(report.digest, receipt.digest);
    assert_text(report.key_id, receipt.key_id);
    assert_true(report.is_demo);
}

/* The document with one part replaced. */
static struct str altered(struct place *place, struct str document, struct str from, struct str to)
{
    size_t at;

    if (!str_find(&at, document, from))
        fail_msg("no " STR_FMT " in the document", STR_ARG(from));
    return arena_printf(place->arena, STR_FMT STR_FMT STR_FMT, STR_ARG(str_slice(document, 0, at)),
                        STR_ARG(to), STR_ARG(str_slice(document, at + from.len, document.len)));
}

static void without_a_key_or_with_another_nothing_is_proven(void **state)
{
    struct place *place = *state;
    struct receipt receipt = receipt_made(place, key_made(place));
    const struct receipt_public_key *other = receipt_key_public(other_key(place));
    struct str signature =
        arena_printf(place->arena,
                     "\"signature\":{\"alg\":\"Ed25519\",\"digest\":\"" STR_FMT
                     "\",\"key_id\":\"" STR_FMT "\",\"signature\":\"" STR_FMT "\"},",
                     STR_ARG(receipt.digest), STR_ARG(receipt.key_id), STR_ARG(receipt.signature));
    struct str bare = altered(place, receipt.document, signature, STR(""));
    struct str renamed = altered(place, receipt.document, receipt.key_id, str_from(other->key_id));

    assert_int_equal(outcome_of(place, receipt.document, NULL), RECEIPT_UNPROVEN);
    assert_int_equal(outcome_of(place, receipt.document, other), RECEIPT_UNPROVEN);
    assert_int_equal(outcome_of(place, renamed, other), RECEIPT_FAILED);
    assert_int_equal(outcome_of(place, bare, NULL), RECEIPT_UNPROVEN);
    assert_int_equal(outcome_of(place, bare, other), RECEIPT_UNPROVEN);
    /* What was altered is told even without a key. */
    assert_int_equal(
        outcome_of(place, altered(place, receipt.document, STR("APPROVED"), STR("REJECTED")), NULL),
        RECEIPT_FAILED);
}

static void no_single_byte_can_be_changed(void **state)
{
    /* 6 and 0x70 turn '+' and '/' into their URL-safe forms. */
    static const unsigned char flips[] = { 1, 2, 4, 8, 16, 32, 64, 128, 6, 0x70 };
    struct place *place = *state;
    struct receipt_key *key = key_made(place);
    struct receipt receipt = receipt_made(place, key);
    struct arena *arena = arena_new();
    char *copy = arena_array(place->arena, receipt.document.len + 1, 1);
    struct str changed = { copy, receipt.document.len };

    memcpy(copy, receipt.document.at, receipt.document.len);
    for (size_t i = 0; i < changed.len; i++) {
        for (size_t flip = 0; flip < COUNT(flips); flip++) {
            struct receipt_report report;

            copy[i] = (char)(receipt.document.at[i] ^ flips[flip]);
            receipt_verify(&report, arena, changed, receipt_key_public(key));
            if (report.outcome != RECEIPT_FAILED && report.outcome != RECEIPT_MALFORMED)
                fail_msg("byte %zu, flip %d: outcome %d", i, flips[flip], report.outcome);
            arena_reset(arena);
        }
        copy[i] = receipt.document.at[i];
    }
    assert_int_equal(outcome_of(place, changed, receipt_key_public(key)), RECEIPT_VERIFIED);
    for (size_t len = 0; len < changed.len; len += 7)
        assert_int_equal(outcome_of(place, str_slice(changed, 0, len), receipt_key_public(key)),
                         RECEIPT_MALFORMED);
    arena_free(arena);
}

static void another_form_of_the_same_receipt_is_malformed(void **state)
{
    static const struct {
        struct str from, to;
    } cases[] = {
        { STR("{\"absent\""), STR(" {\"absent\"") },
        { STR(",\"demo\""), STR(", \"demo\"") },
        { STR("\"APPROVED\"}"), STR("\"APPROVED\"}\n") },
        { STR("APPROVED"), STR("\\u0041PPROVED") },
        { STR("0.85"), STR("0.850") },
        { STR("\"position\":7"), STR("\"position\":7.0") },
        { STR("\"demo\":true,"), STR("") },
        { STR("\"demo\":true"), STR("\"demo\":1") },
        { STR("\"demo\":true,"), STR("\"demo\":true,\"extra\":1,") },
        { STR("{\"alg\""), STR("{\"a\":1,\"alg\"") },
        { STR("\"Ed25519\""), STR("\"none\"") },
        { STR("==\"}"), STR("\"}") },
        { STR("receipt/1"), STR("receipt/2") },
        { STR("\"position\":7"), STR("\"position\":-7") },
        { STR("0.85"), STR("1.5") },
    };
    struct place *place = *state;
    struct receipt_key *key = key_made(place);
    struct receipt receipt = receipt_made(place, key);

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str other = altered(place, receipt.document, cases[i].from, cases[i].to);

        if (outcome_of(place, other, receipt_key_public(key)) != RECEIPT_MALFORMED)
            fail_msg("case %zu is not malformed", i);
    }
    assert_int_equal(outcome_of(place, STR("[]"), NULL), RECEIPT_MALFORMED);
    assert_int_equal(outcome_of(place, STR("null"), NULL), RECEIPT_MALFORMED);
    assert_int_equal(outcome_of(place, STR("{\"signature\":null}"), NULL), RECEIPT_MALFORMED);
}

static void facts_that_no_receipt_can_hold_are_refused(void **state)
{
    struct place *place = *state;
    struct receipt_key *key = key_made(place);
    struct receipt_text text = { STR("vote"), STR("anna"), 0, STR("ABCD") };
    struct receipt_facts cases[12];
    struct receipt receipt;

    for (size_t i = 0; i < COUNT(cases); i++)
        cases[i] = facts_made();
    cases[0].receipt_id = STR_NONE;
    cases[1].debate_id = STR("");
    cases[2].position = JCS_INTEGER_MAX + 1;
    cases[3].position = -1;
    cases[4].prev_hash = STR("0");
    cases[5].created_at.us = 0;
    cases[6].task = STR_NONE;
    cases[7].verdict = STR("\xff");
    cases[8].confidence = 1.01;
    cases[9].confidence = (double)NAN;
    cases[10].consensus.method = STR_NONE;
    cases[11].texts = (struct list){ &text, 1 };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (receipt_build(&receipt, place->arena, &cases[i], key) != ERR_VALIDATION)
            fail_msg("case %zu is accepted", i);
}

static void what_may_be_absent_is_null_and_verifies(void **state)
{
    struct place *place = *state;
    struct receipt_key *key = key_made(place);
    struct receipt_facts facts = facts_made();
    struct receipt receipt;
    size_t at;

    facts.final_answer = facts.consensus.strength = STR_NONE;
    facts.participants = facts.texts = (struct list){ 0 };
    facts.is_demo = false;
    facts.confidence = 1;
    facts.position = JCS_INTEGER_MAX;
    assert_int_equal(receipt_build(&receipt, place->arena, &facts, key), OK);
    assert_true(str_find(&at, receipt.document, STR("\"final_answer_sha256\":null")));
    assert_true(str_find(&at, receipt.document, STR("\"demo\":false")));
    assert_int_equal(outcome_of(place, receipt.document, receipt_key_public(key)),
                     RECEIPT_VERIFIED);
}

static void a_chain_entry_is_hashed_without_its_own_hash(void **state)
{
    static const struct {
        struct str entry;
        enum result result;
    } cases[] = {
        { STR("{\"position\":1,\"prev_hash\":\"" CHAIN_START "\"}"), OK },
        { STR("{ \"prev_hash\":\"" CHAIN_START "\", \"position\":1.0 }"), OK },
        { STR("{\"hash\":\"ab\",\"position\":1,\"prev_hash\":\"" CHAIN_START "\"}"), OK },
        { STR("{\"position\":1}"), ERR_VALIDATION },
        { STR("{\"position\":1,\"prev_hash\":\"0\"}"), ERR_VALIDATION },
        { STR("{\"position\":9007199254740993,\"prev_hash\":\"" CHAIN_START "\"}"),
          ERR_VALIDATION },
        { STR("[]"), ERR_VALIDATION },
        { STR("{"), ERR_INVALID_JSON },
    };
    struct place *place = *state;
    struct str expected = sha256_hex(place->arena, cases[0].entry);

    assert_int_equal(strlen(CHAIN_START), SHA256_HEX);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str hash = expected;

        assert_int_equal(chain_hash(&hash, place->arena, cases[i].entry), cases[i].result);
        assert_text(hash, expected);
    }
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, place_open, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(a_key_file_is_private_and_survives_reopening),
        PLACED(processes_that_make_the_key_at_once_share_one),
        PLACED(signatures_match_rfc_8032),
        PLACED(a_public_key_is_read_back_and_checks_signatures),
        PLACED(what_is_no_ed25519_key_is_refused),
        PLACED(a_receipt_is_the_canonical_json_of_its_facts),
        PLACED(a_signed_receipt_verifies_with_the_key_that_signed),
        PLACED(without_a_key_or_with_another_nothing_is_proven),
        PLACED(no_single_byte_can_be_changed),
        PLACED(another_form_of_the_same_receipt_is_malformed),
        PLACED(facts_that_no_receipt_can_hold_are_refused),
        PLACED(what_may_be_absent_is_null_and_verifies),
        PLACED(a_chain_entry_is_hashed_without_its_own_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
