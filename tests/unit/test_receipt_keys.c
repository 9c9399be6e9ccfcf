/* test_receipt_keys.c - the signing key is exchanged: whole, cut short, and by several at once; on
 * SQLite and on PostgreSQL. */
#include "common/base/buf.h"
#include "common/base/id.h"
#include "common/base/settings.h"
#include "common/store/organization.h"
#include "common/store/receipt_chain.h"
#include "common/store/receipts.h"
#include "tests/unit/databases.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* The program's own link() and rename(): the call that is named kills the process, before or after
 * its work. */
static struct {
    const char *call;
    bool before;
} deadly;

static void maybe_die(const char *call, bool before)
{
    if (deadly.call && strcmp(deadly.call, call) == 0 && deadly.before == before)
        kill(getpid(), SIGKILL);
}

int link(const char *from, const char *to)
{
    maybe_die("link", true);
    int result = linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
    maybe_die("link", false);
    return result;
}

int rename(const char *from, const char *to)
{
    maybe_die("rename", true);
    int result = renameat(AT_FDCWD, from, AT_FDCWD, to);
    maybe_die("rename", false);
    return result;
}

static struct receipt_signers signers_opened(void)
{
    struct receipt_signers signers;

    assert_int_equal(receipt_signers_open(&signers, at.arena, at.db), OK);
    return signers;
}

static enum result append(struct receipt_row *out, const struct receipt_signers *signers)
{
    CLEANUP(tx_end) struct tx tx = { 0 };
    struct receipt_participant who = { STR("ann"), STR("openai"), STR_NONE };
    const struct receipt_facts facts = {
        .receipt_id = id_new(at.arena, "rcpt_"),
        .debate_id = id_new(at.arena, "debate_"),
        .task = STR("Shall we?"),
        .final_answer = STR("We shall."),
        .verdict = STR("APPROVED"),
        .confidence = 0.75,
        .consensus = { true, STR("majority"), STR("strong") },
        .participants = { &who, 1 },
    };

    TRY(tx_begin(&tx, at.db));
    TRY(receipt_append(out, at.db, &facts, signers));
    return tx_commit(&tx);
}

static struct receipt_row issue(const struct receipt_signers *signers)
{
    struct receipt_row row;

    assert_int_equal(append(&row, signers), OK);
    return row;
}

/* By the key that the database names for it. */
static void assert_verifies(const struct receipt_row *row)
{
    struct receipt_public_key key;
    struct receipt_report report;
    struct str problem = STR("not looked at");

    assert_int_equal(receipt_key_find(&key, at.db, row->key_id), OK);
    receipt_verify(&report, at.arena, row->native, &key);
    assert_int_equal(report.outcome, RECEIPT_VERIFIED);
    assert_int_equal(receipt_chain_check(&problem, at.db, row), OK);
    assert_null(problem.at);
}

static struct receipt_public_key in_force(void)
{
    struct receipt_public_key key;

    assert_int_equal(receipt_key_find(&key, at.db, STR_NONE), OK);
    return key;
}

/* The whole chain of the session's organisation, with one key trusted. */
static struct chain_report chain_now(const struct receipt_public_key *key)
{
    struct buf *file = arena_buf(at.arena);
    struct chain_report report;

    assert_int_equal(receipt_chain_file(file, at.db), OK);
    chain_verify(&report, at.arena, buf_view(file), STR_NONE, key);
    return report;
}

static void running_signers_take_the_new_key_up(void **state)
{
    struct receipt_signers signers = signers_opened();
    struct receipt_public_key made, first = in_force();
    struct receipt_row before, after;
    struct str other = fresh_org(), org = fresh_org();

    (void)state;
    before = issue(&signers);
    assert_int_equal(receipt_key_rotate(&made, at.db, false), OK);
    assert_string_not_equal(made.key_id, first.key_id);
    assert_string_equal(in_force().key_id, made.key_id);
    after = issue(&signers);
    assert_true(str_is(before.key_id, first.key_id) && str_is(after.key_id, made.key_id));
    assert_int_equal(after.position, 3);
    assert_verifies(&before);
    assert_verifies(&after);
    assert_int_equal(chain_now(&made).vouched, 2);
    assert_int_equal(chain_now(&first).outcome, RECEIPT_VERIFIED);
    assert_string_equal(receipt_key_public(signers_opened().real)->key_id, made.key_id);

    db_use(at.db, at.arena, other); /* which had no receipt yet */
    assert_int_equal(chain_now(NULL).entries, 1);
    assert_int_equal(chain_now(NULL).outcome, RECEIPT_UNPROVEN);
    db_use(at.db, at.arena, org);
}

static void the_demo_key_is_another_matter(void **state)
{
    struct receipt_signers signers = signers_opened();
    struct receipt_public_key made, found, before = in_force();

    (void)state;
    (void)fresh_org();
    assert_int_equal(receipt_key_rotate(&made, at.db, true), OK);
    assert_string_equal(in_force().key_id, before.key_id);
    assert_string_equal(receipt_key_public(signers_opened().demo)->key_id, made.key_id);
    assert_int_equal(
        receipt_key_find(&found, at.db, str_from(receipt_key_public(signers.demo)->key_id)), OK);
}

static void a_key_that_the_database_does_not_know_signs_nothing(void **state)
{
    struct str path = data_path(at.arena, "keys/receipt.pem");
    struct str kept = data_path(at.arena, "keys/kept.pem");
    struct receipt_signers signers = signers_opened();
    struct receipt_public_key made;
    struct receipt_key *stranger;
    struct receipt_row row;

    (void)state;
    (void)fresh_org();
    assert_int_equal(receipt_key_rotate(&made, at.db, false), OK);
    assert_int_equal(rename(path.at, kept.at), 0);
    assert_int_equal(append(&row, &signers), ERR_KEY);
    assert_int_equal(receipt_key_open(&stranger, at.arena, path, true), OK);
    assert_int_equal(append(&row, &signers), ERR_KEY);
    assert_int_equal(receipt_key_rotate(&made, at.db, false), ERR_KEY);
    assert_int_equal(rename(kept.at, path.at), 0);
    assert_verifies(&(struct receipt_row[]){ issue(&signers) }[0]);
}

/* In a process and on a connection of its own. */
static enum result rotate_elsewhere(void)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    CLEANUP(db_cleanup) struct db *db = NULL;
    struct receipt_public_key made;

    TRY(db_open(&db, &at.config));
    db_use(db, arena, ORG_DEFAULT);
    return receipt_key_rotate(&made, db, false);
}

static pid_t fork_rotation(void)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit((int)rotate_elsewhere());
    return child;
}

static void rotate_and_die(const char *call, bool before)
{
    int status;

    deadly.call = call;
    deadly.before = before;
    pid_t child = fork_rotation();
    deadly.call = NULL;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* What killed makers left beside the keys; the next group begins in a clean directory. */
static void remove_leftovers(void)
{
    struct str folder = data_path(at.arena, "keys");
    DIR *keys = opendir(folder.at);

    assert_non_null(keys);
    for (struct dirent *entry; (entry = readdir(keys));) {
        struct str name = str_from(entry->d_name);
        size_t place;

        if (str_ends(name, STR(".tmp")) || str_find(&place, name, STR(".ed25519-")))
            assert_int_equal(unlink(arena_printf(at.arena, "%s/%s", folder.at, entry->d_name).at),
                             0);
    }
    closedir(keys);
}

static void a_rotation_cut_before_its_commit_changes_nothing(void **state)
{
    struct receipt_signers signers = signers_opened();
    struct receipt_public_key before = in_force(), made;
    struct receipt_row row;

    (void)state;
    (void)fresh_org();
    for (int done = 0; done < 2; done++) {
        rotate_and_die("link", !done);
        assert_string_equal(in_force().key_id, before.key_id);
        assert_string_equal(receipt_key_public(signers_opened().real)->key_id, before.key_id);
        row = issue(&signers);
        assert_true(str_is(row.key_id, before.key_id));
        assert_verifies(&row);
    }
    assert_int_equal(receipt_key_rotate(&made, at.db, false), OK);
    remove_leftovers();
}

static void a_rotation_cut_after_its_commit_is_completed_by_who_signs_next(void **state)
{
    struct receipt_signers signers = signers_opened();
    struct receipt_public_key before = in_force(), after;
    struct receipt_row row;

    (void)state;
    (void)fresh_org();
    rotate_and_die("rename", true);
    after = in_force();
    assert_string_not_equal(after.key_id, before.key_id);
    row = issue(&signers); /* as a running process does */
    assert_true(str_is(row.key_id, after.key_id));
    assert_verifies(&row);

    before = after;
    rotate_and_die("rename", true);
    after = in_force();
    assert_string_not_equal(after.key_id, before.key_id);
    signers = signers_opened(); /* as a starting one does */
    assert_string_equal(receipt_key_public(signers.real)->key_id, after.key_id);

    rotate_and_die("rename", false);
    row = issue(&signers);
    assert_true(str_is(row.key_id, in_force().key_id));
    assert_verifies(&row);
    assert_int_equal(chain_now(&before).outcome, RECEIPT_VERIFIED);
}

static void of_rotations_at_once_each_is_whole_or_nothing(void **state)
{
    enum { MAKERS = 6 };
    struct receipt_signers signers = signers_opened();
    pid_t children[MAKERS];
    int64_t whole = 0;

    (void)state;
    (void)fresh_org();
    for (int i = 0; i < MAKERS; i++)
        children[i] = fork_rotation();
    for (int i = 0; i < MAKERS; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        whole += WEXITSTATUS(status) == OK;
    }
    assert_true(whole >= 1);
    assert_int_equal(chain_now(NULL).entries, whole);
    struct receipt_row row = issue(&signers);
    struct receipt_public_key now = in_force();
    assert_true(str_is(row.key_id, now.key_id));
    assert_verifies(&row);
    assert_int_equal(chain_now(&now).outcome, RECEIPT_VERIFIED);
    remove_leftovers();
}

static struct str issuer_with(const char *url, const char *issuer)
{
    const char *problem;

    setenv("ARAGORA_PUBLIC_URL", url, 1);
    setenv("ARAGORA_RECEIPT_ISSUER", issuer, 1);
    if (!*issuer)
        unsetenv("ARAGORA_RECEIPT_ISSUER");
    assert_int_equal(settings_load(&problem), OK);
    return signers_opened().issuer;
}

static void the_issuer_is_the_setting_or_the_public_host(void **state)
{
    static const struct {
        const char *url, *issuer, *expected;
    } cases[] = {
        { "", "", NULL },
        { "nonsense", "", NULL },
        { "https://", "", NULL },
        { "https://debates.example.org", "", "debates.example.org" },
        { "https://debates.example.org:8443/app/", "", "debates.example.org" },
        { "http://[::1]:8080/", "", "[::1]" },
        { "https://debates.example.org", "Example Ltd", "Example Ltd" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str issuer = issuer_with(cases[i].url, cases[i].issuer);

        if (cases[i].expected ? !str_is(issuer, cases[i].expected) : issuer.at != NULL)
            fail_msg("%s gives " STR_FMT, cases[i].url, STR_ARG(issuer));
    }
    (void)issuer_with("", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(running_signers_take_the_new_key_up),
        cmocka_unit_test(the_demo_key_is_another_matter),
        cmocka_unit_test(a_key_that_the_database_does_not_know_signs_nothing),
        cmocka_unit_test(a_rotation_cut_before_its_commit_changes_nothing),
        cmocka_unit_test(a_rotation_cut_after_its_commit_is_completed_by_who_signs_next),
        cmocka_unit_test(of_rotations_at_once_each_is_whole_or_nothing),
        cmocka_unit_test(the_issuer_is_the_setting_or_the_public_host),
    };

    int failed = cmocka_run_group_tests_name("SQLite", tests, open_sqlite, close_databases);
    return failed +
           cmocka_run_group_tests_name("PostgreSQL", tests, open_postgres, close_databases);
}
