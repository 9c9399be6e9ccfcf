#include "common/store/idempotency.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/settings.h"
#include "common/store/master_key.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define LOCK_PAUSE_NS 5000000

enum result idempotency_seal_key(struct seal_key *out, struct arena *arena, struct db *db)
{
    struct seal_key master;

    TRY(master_key_open(&master, arena, db));
    seal_derive(out, &master, "idempotency.answer");
    return OK;
}

/* No part has a line break in it. */
static struct str name_of(struct arena *arena, const struct idempotency *id)
{
    return arena_printf(arena, STR_FMT "\n" STR_FMT "\n" STR_FMT "\n" STR_FMT, STR_ARG(id->org_id),
                        STR_ARG(id->principal), STR_ARG(id->operation), STR_ARG(id->key));
}

/* One byte of a file without content for each key, by its hash: two keys that share one wait for
 * each other, no more. The lock belongs to the open file, not to the process as plain fcntl()
 * locks do, so that two of one process keep apart as well. */
enum result idempotency_lock(int *fd, struct arena *arena, const struct idempotency *id,
                             int64_t until_us)
{
    const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
    struct flock range = { .l_type = F_WRLCK,
                           .l_whence = SEEK_SET,
                           .l_start = (off_t)(str_hash(name_of(arena, id)) >> 2),
                           .l_len = 1 };

    TRY(directory_make(arena, data_path(arena, "run"), 0700));
    int file = open(arena_cstr(arena, data_path(arena, "run/idempotency.lock")),
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (file < 0)
        return ERR_SYSTEM;
    while (fcntl(file, F_OFD_SETLK, &range) != 0) {
        bool taken = errno == EAGAIN || errno == EACCES;

        if (!taken || monotonic_us() >= until_us) {
            close(file);
            return taken ? ERR_IDEMPOTENCY_BUSY : ERR_SYSTEM;
        }
        (void)nanosleep(&pause, NULL);
    }
    *fd = file;
    return OK;
}

struct kept {
    struct str request;
    struct bytes answer;
};

static const struct field kept_row[] = {
    { FIELD(struct kept, request) },
    { FIELD(struct kept, answer) },
    { 0 },
};

/* Callers without an organisation have keys too, so $1 is bound here and not by the session. */
enum result idempotency_find(struct bytes *answer, struct db *db, const struct idempotency *id,
                             const struct seal_key *key)
{
    struct arena *arena = db_arena(db);
    struct kept kept;

    TRY(db_one(&kept, db_system(db), kept_row, ERR_NOT_FOUND,
               "SELECT request, answer FROM idempotency WHERE org_id = $1 AND principal = $2"
               " AND operation = $3 AND key = $4 AND expires_at > (SELECT now_us())",
               BIND(id->org_id, id->principal, id->operation, id->key)));
    if (!str_eq(kept.request, id->request))
        return ERR_IDEMPOTENCY_REUSED;
    return seal_open(answer, arena, key, name_of(arena, id), kept.answer);
}

static enum result sweep(struct db *db)
{
    return db_run(NULL, db_system(db),
                  "DELETE FROM idempotency WHERE (org_id, principal, operation, key) IN"
                  " (SELECT org_id, principal, operation, key FROM idempotency"
                  " WHERE expires_at <= (SELECT now_us()) ORDER BY expires_at LIMIT $1"
                  " /* FOR UPDATE SKIP LOCKED */)",
                  BIND(IDEMPOTENCY_SWEEP));
}

enum result idempotency_store(struct db *db, const struct idempotency *id,
                              const struct seal_key *key, struct bytes answer, int64_t term_us)
{
    struct arena *arena = db_arena(db);
    int64_t changed;
    enum result result =
        db_run(&changed, db_system(db),
               "INSERT INTO idempotency (org_id, principal, operation, key, request, answer,"
               " expires_at) VALUES ($1, $2, $3, $4, $5, $6, (SELECT now_us()) + $7)"
               " ON CONFLICT (org_id, principal, operation, key) DO UPDATE SET"
               " request = excluded.request, answer = excluded.answer,"
               " expires_at = excluded.expires_at"
               " WHERE idempotency.expires_at <= (SELECT now_us())",
               BIND(id->org_id, id->principal, id->operation, id->key, id->request,
                    seal(arena, key, name_of(arena, id), answer), term_us));

    if (result == ERR_TIMEOUT || result == ERR_DATABASE_BUSY)
        return ERR_IDEMPOTENCY_BUSY; /* nothing but the other's row can have stopped it */
    TRY(result);
    return changed ? sweep(db) : ERR_DATABASE_RETRY;
}
