/* doctor.c - aragora doctor: what is missing here, and the command that mends it.
 *
 * Looks and changes nothing: it neither makes the data directory nor migrates.
 *
 * Elsewhere: the model providers (doctor_provider.c). */
#include "cli/doctor.h"
#include "cli/command.h"
#include "cli/probe.h"

#include "common/base/file.h"
#include "common/base/segment.h"
#include "common/db/migrate.h"
#include "common/store/receipts.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct patient {
    struct arena *arena;
    struct str data;
    bool has_data;
    struct db *db; /* NULL: it cannot be opened */
};

static struct finding good(struct str what)
{
    return (struct finding){ GOOD, what, STR_NONE };
}

static struct str beside(struct arena *arena, const char *name)
{
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self));

    while (len > 0 && self[len - 1] != '/')
        len--;
    return arena_printf(arena, "%.*s%s", (int)(len > 0 ? len : 0), self, name);
}

static struct finding check_programs(struct patient *patient)
{
    static const char *const names[] = { "aragora-fcgi", "aragora-debated", "aragora-streamd" };

    for (size_t i = 0; i < COUNT(names); i++) {
        struct str path = beside(patient->arena, names[i]);

        if (access(path.at, X_OK) != 0)
            return (struct finding){
                BAD, arena_printf(patient->arena, STR_FMT " is not there", STR_ARG(path)),
                STR("make, or make install")
            };
    }
    return good(STR("the workers and daemons are beside this program"));
}

static const char *const web_servers[] = { "/usr/sbin/lighttpd", "/usr/local/sbin/lighttpd",
                                           "/usr/bin/lighttpd" };

static struct finding check_web_server(struct patient *patient)
{
    for (size_t i = 0; i < COUNT(web_servers); i++)
        if (access(web_servers[i], X_OK) == 0)
            return good(arena_printf(patient->arena, "the web server is %s", web_servers[i]));
    return (struct finding){ BAD, STR("lighttpd is not installed"),
                             STR("apt-get install lighttpd") };
}

static struct finding check_directory(struct patient *patient)
{
    struct stat info;
    const char *path = patient->data.at;

    if (stat(path, &info) != 0)
        return (struct finding){
            errno == ENOENT ? DOUBTFUL : BAD,
            arena_printf(patient->arena, "the data directory %s: %s", path, strerror(errno)),
            arena_printf(patient->arena, "aragora migrate --data-dir %s", path)
        };
    patient->has_data = true;
    if (access(path, R_OK | W_OK | X_OK) != 0)
        return (struct finding){
            BAD, arena_printf(patient->arena, "the data directory %s cannot be written", path),
            arena_printf(patient->arena, "chown -R $(id -un) %s", path)
        };
    if (info.st_mode & 007)
        return (struct finding){ BAD,
                                 arena_printf(patient->arena, "everyone can look into %s", path),
                                 arena_printf(patient->arena, "chmod o= %s", path) };
    return good(arena_printf(patient->arena, "the data directory is %s", path));
}

static struct finding check_sockets(struct patient *patient)
{
    struct sockaddr_un address;
    size_t longest = patient->data.len + sizeof("/run/fcgi.sock");

    if (longest > sizeof(address.sun_path))
        return (struct finding){ BAD,
                                 arena_printf(
                                     patient->arena,
                                     "the data directory's path is %zu bytes too long for sockets",
                                     longest - sizeof(address.sun_path)),
                                 STR("a shorter --data-dir") };
    return good(STR("sockets fit into the data directory"));
}

static struct finding check_memory(struct patient *patient)
{
    struct segment *segment;

    if (!patient->has_data)
        return (struct finding){ DOUBTFUL, STR("shared memory was not looked at"), STR_NONE };
    if (segment_open(&segment, patient->data.at) != OK)
        return (struct finding){ BAD, STR("/dev/shm cannot be written"),
                                 STR("mount -t tmpfs tmpfs /dev/shm") };
    segment_close(segment);
    return good(STR("shared memory is there"));
}

static struct finding check_database(struct patient *patient)
{
    struct db_config config = db_config_read(patient->arena, NULL);
    const char *kind = config.backend == DB_SQLITE ? "SQLite" : "PostgreSQL";

    if (config.backend == DB_SQLITE && access(arena_cstr(patient->arena, config.path), F_OK) != 0)
        return (struct finding){ DOUBTFUL, arena_printf(patient->arena, "there is no database yet"),
                                 arena_printf(patient->arena, "aragora migrate --data-dir " STR_FMT,
                                              STR_ARG(patient->data)) };
    if (db_open(&patient->db, &config) != OK) {
        patient->db = NULL;
        return (struct finding){ BAD, arena_printf(patient->arena, "%s cannot be opened", kind),
                                 config.backend == DB_SQLITE
                                     ? STR("restore the file from a backup")
                                     : STR("start PostgreSQL, or mend ARAGORA_POSTGRES_DSN") };
    }
    db_use(patient->db, patient->arena, STR_NONE);
    if (db_migrated(patient->db) != OK)
        return (struct finding){
            BAD, arena_printf(patient->arena, "%s: the schema is not this program's", kind),
            arena_printf(patient->arena, "aragora migrate --data-dir " STR_FMT,
                         STR_ARG(patient->data))
        };
    return good(arena_printf(patient->arena, "%s answers, its schema is up to date", kind));
}

/* With create off the keys are only compared: a missing file is told, never made anew. */
static struct finding check_keys(struct patient *patient)
{
    static const char *const files[] = { "keys/receipt.pem", "keys/demo-receipt.pem" };
    struct receipt_public_key known;
    struct receipt_key *key;

    if (!patient->db || receipt_key_find(&known, patient->db, STR_NONE) != OK)
        return (struct finding){ DOUBTFUL, STR("the signing keys are made by the first start"),
                                 STR("aragora serve") };
    for (size_t i = 0; i < COUNT(files); i++) {
        struct str path = data_path(patient->arena, files[i]);

        if (receipt_key_open(&key, patient->arena, path, false) != OK ||
            receipt_key_find(&known, patient->db, str_from(receipt_key_public(key)->key_id)) != OK)
            return (struct finding){ BAD,
                                     arena_printf(patient->arena,
                                                  STR_FMT " is not the key that the database knows",
                                                  STR_ARG(path)),
                                     STR("restore DATA/keys from a backup") };
    }
    return good(STR("the signing keys are those that the database knows"));
}

/* A port is good if it is free, or if one of ours answers there. */
static struct finding check_port(struct patient *patient, enum setting setting, const char *path)
{
    const char *host = setting_cstr(SETTING_BIND_HOST), *name = setting_row(setting)->name;
    int port = (int)setting_int(setting);

    if (port == 0 || probe_port(host, port) > 0)
        return good(arena_printf(patient->arena, "%s: port %d of %s is free", name, port, host));
    int reason = errno;
    if (probe_get(host, port, setting_flag(SETTING_SSL), path, 2) == 200)
        return good(arena_printf(patient->arena, "%s: a server answers on port %d", name, port));
    return (struct finding){
        BAD,
        arena_printf(patient->arena, "%s: port %d of %s: %s", name, port, host, strerror(reason)),
        arena_printf(patient->arena, "%s=another, or end what holds it: ss -ltnp 'sport = :%d'",
                     name, port)
    };
}

static struct finding check_http_port(struct patient *patient)
{
    return check_port(patient, SETTING_HTTP_PORT, "/healthz");
}

static struct finding check_ws_port(struct patient *patient)
{
    return check_port(patient, SETTING_WS_PORT, "/health");
}

static struct finding (*const checks[])(struct patient *patient) = {
    check_programs, check_web_server, check_directory, check_sockets, check_memory,
    check_database, check_keys,       check_http_port, check_ws_port,
};

/* true: nothing is to be mended. */
static bool told(const struct finding *finding)
{
    static const char *const words[] = { "ok", "note", "MISSING", "FAILS" };
    bool amiss = finding->health == BAD || finding->health == FAILING;

    printf("%-8s " STR_FMT "\n", words[finding->health], STR_ARG(finding->what));
    if (finding->mend.at)
        printf("%-8s %s " STR_FMT "\n", "", amiss ? "mend:" : "next:", STR_ARG(finding->mend));
    return !amiss;
}

static int run(const struct arguments *arguments)
{
    CLEANUP(arena_cleanup) struct arena *arena = arena_new();
    struct patient patient = { .arena = arena, .data = setting_str(SETTING_DATA_DIR) };
    bool well = true;

    if (arguments->count)
        return command_misused(arguments->command);
    for (size_t i = 0; i < COUNT(checks); i++) {
        struct finding finding = checks[i](&patient);

        well &= told(&finding);
    }
    db_close(patient.db);
    fflush(stdout); /* the providers take their time */
    struct list providers = doctor_providers(arena);
    for (size_t i = 0; i < providers.count; i++)
        well &= told((const struct finding *)providers.at + i);
    return well ? EXIT_DONE : EXIT_FAILED;
}

static const struct option options[] = { OPTION_DATA_DIR, { 0 } };

const struct command command_doctor = {
    "doctor", "", "say what is missing, and the command that mends it", options, run,
};
