/* verify.c - aragora verify: is this receipt what a trusted key signed?
 *
 * Needs nothing but the file and the key: no server, no database, no network. */
#include "cli/command.h"

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/receipt/receipt.h"

#define RECEIPT_MAX (INT64_C(64) * 1024 * 1024) /* bytes */
#define KEY_MAX     65536
#define USAGE       RECEIPT_MALFORMED /* receipts_odr 6: 2 is usage or input */

/* "-" is standard input. */
static enum result read_all(struct str *out, struct arena *arena, const char *path)
{
    CLEANUP(buf_free) struct buf text = { 0 };
    char part[65536];
    size_t got;

    if (strcmp(path, "-") != 0)
        return file_read(out, arena, str_from(path), RECEIPT_MAX);
    while ((got = fread(part, 1, sizeof(part), stdin)) > 0 && (int64_t)text.len <= RECEIPT_MAX)
        buf_add(&text, part, got);
    if (ferror(stdin) || (int64_t)text.len > RECEIPT_MAX)
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

static const char *const words[] = {
    [RECEIPT_VERIFIED] = "verified",
    [RECEIPT_FAILED] = "FAILED",
    [RECEIPT_MALFORMED] = "no receipt",
    [RECEIPT_UNPROVEN] = "not established",
};

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
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    const char *key_path = argument_option(arguments, OPTION_PUBKEY, 0);
    struct receipt_public_key key;
    struct receipt_report report;
    struct str document;

    if (arguments->count != 1) {
        (void)command_misused(arguments->command);
        return USAGE;
    }
    if (key_path && !read_key(&key, arena, key_path))
        return USAGE;
    if (read_all(&document, arena, arguments->at[0]) != OK) {
        fprintf(stderr, "aragora: %s: cannot be read\n", arguments->at[0]);
        return USAGE;
    }
    /* Editors and shells end a file with a line break; it is no part of the receipt. */
    if (str_ends(document, STR("\n")))
        document.len--;
    receipt_verify(&report, arena, document, key_path ? &key : NULL);
    print_report(&report);
    return (int)report.outcome;
}

static const struct option options[] = {
    { "--pubkey", "FILE", "the Ed25519 public key that is trusted, as PEM", OPTION_PUBKEY, 0 },
    { 0 },
};

const struct command command_verify = {
    "verify", "RECEIPT", "check a receipt offline", options, run,
};
