/* verify.c - aragora verify: is this what a trusted key signed?
 *
 * Takes a receipt in its native or its public form, or a chain. Needs nothing but the files and
 * the key: no server, no database, no network. */
#include "cli/command.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/receipt/chain.h"
#include "common/receipt/odr.h"

#define FILE_MAX ((size_t)64 * 1024 * 1024) /* bytes */
#define KEY_MAX  65536
#define USAGE    RECEIPT_MALFORMED /* receipts_odr 6: 2 is usage or input */

/* "-" is standard input. */
static enum result read_all(struct str *out, struct arena *arena, const char *path)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    char part[65536];
    size_t got;

    if (strcmp(path, "-") != 0)
        return file_read(out, arena, str_from(path), FILE_MAX);
    while ((got = fread(part, 1, sizeof(part), stdin)) > 0 && text.len <= FILE_MAX)
        buf_add(&text, part, got);
    if (ferror(stdin) || text.len > FILE_MAX)
        return ERR_SYSTEM;
    *out = arena_str(arena, buf_view(&text));
    return OK;
}

static bool read_key(struct receipt_public_key *out, struct arena *arena, const char *path)
{
    struct str pem;

    if (file_read(&pem, arena, str_from(path), KEY_MAX) != OK)
        fprintf(stderr, "aragora: %s: cannot be read\n", path);
    else if (receipt_public_key_parse(out, pem) != OK)
        fprintf(stderr, "aragora: %s: no Ed25519 public key in PEM form\n", path);
    else
        return true;
    return false;
}

enum form { FORM_NATIVE, FORM_ODR, FORM_CHAIN };

static const char *const form_names[] = {
    [FORM_NATIVE] = "native", [FORM_ODR] = "odr", [FORM_CHAIN] = "chain"
};

static const char *const words[] = {
    [RECEIPT_VERIFIED] = "verified",
    [RECEIPT_FAILED] = "FAILED",
    [RECEIPT_MALFORMED] = "no receipt",
    [RECEIPT_UNPROVEN] = "not established",
};

struct verified {
    struct receipt_report report;
    struct str form, outcome;
    bool ok, authenticity_unverified; /* as the public verifier names them */
};

static const struct field verified_out[] = {
    { FIELD(struct verified, ok) },
    { FIELD(struct verified, authenticity_unverified) },
    { FIELD(struct verified, outcome) },
    { FIELD_AS("reason", struct verified, report.reason) },
    { FIELD(struct verified, form) },
    { FIELD_AS("receipt_id", struct verified, report.receipt_id) },
    { FIELD_AS("digest", struct verified, report.digest) },
    { FIELD_AS("key_id", struct verified, report.key_id) },
    { FIELD_AS("demo", struct verified, report.is_demo) },
    { .name = "warnings",
      .offset = offsetof(struct verified, report.warnings),
      .type = FIELD_STRS,
      .absent = ABSENT_EMPTY },
    { 0 },
};

static void print_json(const struct receipt_report *report, enum form form)
{
    CLEANUP(buf_free) struct buf json = { 0 };
    const struct verified verified = {
        .report = *report,
        .form = str_from(form_names[form]),
        .outcome = str_from(words[report->outcome]),
        .ok = report->outcome == RECEIPT_VERIFIED || report->outcome == RECEIPT_UNPROVEN,
        .authenticity_unverified = report->outcome == RECEIPT_UNPROVEN,
    };

    fields_write(&json, &verified, verified_out);
    printf(STR_FMT "\n", STR_ARG(buf_view(&json)));
}

static void print_report(const struct receipt_report *report)
{
    printf("%s: " STR_FMT "\n", words[report->outcome], STR_ARG(report->reason));
    if (report->receipt_id.at)
        printf("receipt " STR_FMT "\n", STR_ARG(report->receipt_id));
    if (report->digest.at)
        printf("digest  " STR_FMT "\n", STR_ARG(report->digest));
    if (report->key_id.at)
        printf("key     " STR_FMT "\n", STR_ARG(report->key_id));
    if (report->is_demo)
        printf("demo    the agents of this debate were simulated\n");
    for (size_t i = 0; i < report->warnings.count; i++)
        printf("warning " STR_FMT "\n", STR_ARG(((const struct str *)report->warnings.at)[i]));
}

static enum form form_of(struct arena *arena, struct str text)
{
    struct json_object *object, *schema;

    if (chain_is_file(arena, text))
        return FORM_CHAIN;
    if (json_parse(&object, arena, text, &json_limits_wide, NULL) == OK &&
        json_object_is_type(object, json_type_object) && !json_get(&schema, object, "schema"))
        return FORM_ODR;
    return FORM_NATIVE;
}

static void chain_report_as(struct receipt_report *out, const struct chain_report *chain)
{
    *out = (struct receipt_report){ .outcome = chain->outcome, .reason = chain->reason };
}

/* Only a receipt that holds by itself can be made worse by its chain. */
static void check_chain(struct receipt_report *out, struct arena *arena, struct str file)
{
    struct chain_report chain;

    if (out->outcome != RECEIPT_VERIFIED && out->outcome != RECEIPT_UNPROVEN)
        return;
    chain_verify(&chain, arena, file, out->digest, NULL);
    if (chain.outcome == RECEIPT_FAILED || chain.outcome == RECEIPT_MALFORMED) {
        out->outcome = RECEIPT_FAILED;
        out->reason =
            arena_printf(arena, "The chain does not hold: " STR_FMT, STR_ARG(chain.reason));
    } else if (!chain.anchored) {
        out->outcome = RECEIPT_FAILED;
        out->reason = STR("The chain has no entry of this receipt.");
    }
}

static void verify(struct receipt_report *out, struct arena *arena, enum form form, struct str text,
                   const struct receipt_public_key *key)
{
    struct chain_report chain;

    switch (form) {
    case FORM_NATIVE:
        /* Editors and shells end a file with a line break; it is no part of the receipt. */
        receipt_verify(out, arena, str_slice(text, 0, text.len - str_ends(text, STR("\n"))), key);
        break;
    case FORM_ODR:
        odr_verify(out, arena, text, key);
        break;
    case FORM_CHAIN:
        chain_verify(&chain, arena, text, STR_NONE, key);
        chain_report_as(out, &chain);
        break;
    }
}

static bool read_file(struct str *out, struct arena *arena, const char *path)
{
    if (read_all(out, arena, path) == OK)
        return true;
    fprintf(stderr, "aragora: %s: cannot be read\n", path);
    return false;
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    const char *key_path = argument_option(arguments, OPTION_PUBKEY, 0);
    const char *chain_path = argument_option(arguments, OPTION_CHAIN, 0);
    struct receipt_public_key key;
    struct receipt_report report;
    struct str text, chain;

    if (arguments->count != 1) {
        (void)command_misused(arguments->command);
        return USAGE;
    }
    if ((key_path && !read_key(&key, arena, key_path)) ||
        (chain_path && !read_file(&chain, arena, chain_path)) ||
        !read_file(&text, arena, arguments->at[0]))
        return USAGE;
    enum form form = form_of(arena, text);
    if (form == FORM_CHAIN && chain_path) {
        fputs("aragora: --chain goes with a receipt\n", stderr);
        return USAGE;
    }
    verify(&report, arena, form, text, key_path ? &key : NULL);
    if (chain_path)
        check_chain(&report, arena, chain);
    if (argument_option(arguments, OPTION_JSON, 0))
        print_json(&report, form);
    else
        print_report(&report);
    return (int)report.outcome;
}

static const struct option options[] = {
    { "--pubkey", "FILE", "the Ed25519 public key that is trusted, as PEM", OPTION_PUBKEY, 0 },
    { "--chain", "FILE", "the chain that must have an entry of the receipt", OPTION_CHAIN, 0 },
    { "--json", NULL, "print one JSON object", OPTION_JSON, 0 },
    { 0 },
};

const struct command command_verify = {
    "verify", "FILE", "check a receipt or a chain offline", options, run,
};
