-- The core: event streams, jobs, budgets, receipts, repeated requests.
CREATE TABLE meta (            -- stream_epoch; fingerprints of the encryption, receipt and demo receipt keys; oldest program schema that suits
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE loops (           -- whatever has an event stream: debate, gauntlet, workflow run, improvement cycle …
    org_id     TEXT NOT NULL,
    loop_id    TEXT NOT NULL UNIQUE,           -- the debate's id
    kind       TEXT NOT NULL,
    owner_id   TEXT,
    visibility TEXT NOT NULL,                  -- private, workspace, organisation, public; status and visibility stand here, not again in debates
    status     TEXT NOT NULL,
    last_seq   BIGINT NOT NULL DEFAULT 0,
    moved_at   TIME NOT NULL,                  -- of last_seq
    ended_at   TIME,
    PRIMARY KEY (org_id, loop_id)
);
CREATE INDEX loops_moved ON loops (moved_at);
CREATE INDEX loops_live  ON loops (org_id) WHERE ended_at IS NULL;
CREATE INDEX loops_ended ON loops (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE events (          -- the journal; nothing else assigns order
    org_id   TEXT NOT NULL,
    loop_id  TEXT NOT NULL,
    seq      BIGINT NOT NULL,
    type     TEXT NOT NULL,
    agent    TEXT,
    agent_seq BIGINT NOT NULL DEFAULT 0,       -- counts the events of one agent in the loop
    round    BIGINT NOT NULL DEFAULT 0,
    task_id  TEXT,
    at       TIME NOT NULL,
    trace_id TEXT,
    data     JSON NOT NULL,
    PRIMARY KEY (org_id, loop_id, seq),
    FOREIGN KEY (org_id, loop_id) REFERENCES loops (org_id, loop_id) ON DELETE CASCADE
);

CREATE TABLE jobs (
    org_id      TEXT NOT NULL,
    job_id      TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL,
    subject_id  TEXT NOT NULL,                 -- loop, batch, delivery …
    payload     JSON NOT NULL,
    status      TEXT NOT NULL,                 -- pending, running, paused, completed, failed, cancelled
    priority    BIGINT NOT NULL DEFAULT 0,
    due_at      TIME NOT NULL,
    lease_owner TEXT,                          -- the runner's random id; it holds a lock on DATA/run/<id>
    lease_until TIME,
    fence       BIGINT NOT NULL DEFAULT 0,     -- +1 at each claim
    losses      BIGINT NOT NULL DEFAULT 0,     -- leases lost in a row without a newly committed step
    cancel      TEXT,                          -- reason, once asked for
    result      JSON,                          -- for who waits
    error       TEXT,
    created_at  TIME NOT NULL,
    ended_at    TIME,
    PRIMARY KEY (org_id, job_id)
);
CREATE UNIQUE INDEX jobs_open ON jobs (org_id, kind, subject_id) WHERE ended_at IS NULL;
CREATE INDEX jobs_claim ON jobs (priority DESC, due_at) WHERE status = 'pending';
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE status = 'running';
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE job_steps (       -- what is done is not done again
    org_id     TEXT NOT NULL,
    job_id     TEXT NOT NULL,
    step       TEXT NOT NULL,                  -- round/phase/agent/target, parts percent-encoded
    status     TEXT NOT NULL,                  -- started, done, failed, partial
    agent      TEXT,
    task_id    TEXT,
    attempt_id TEXT,                           -- the attempt whose text this is
    text       TEXT,                           -- running text, flushed about each second; final once done
    text_seq   BIGINT NOT NULL DEFAULT 0,      -- last agent_seq contained in text: streamd appends deltas beyond it
    result     JSON,
    attempts   BIGINT NOT NULL DEFAULT 0,      -- raised before the work
    updated_at TIME NOT NULL,
    PRIMARY KEY (org_id, job_id, step),
    FOREIGN KEY (org_id, job_id) REFERENCES jobs (org_id, job_id) ON DELETE CASCADE
);

CREATE TABLE provider_attempts (
    org_id             TEXT NOT NULL,
    attempt_id         TEXT NOT NULL,
    job_id             TEXT NOT NULL,
    step               TEXT NOT NULL,
    provider           TEXT NOT NULL,
    model_asked        TEXT NOT NULL,
    model_served       TEXT,
    outcome            TEXT NOT NULL,          -- in_flight, used, discarded, refused, failed, lost
    request_digest     TEXT NOT NULL,
    reply              BYTES,                  -- as received, compressed, encrypted; own retention; off by setting
    tokens_in          BIGINT,
    tokens_out         BIGINT,
    reserved_micro_usd BIGINT NOT NULL DEFAULT 0,
    cost_micro_usd     BIGINT,                 -- NULL: price unknown
    estimated          BOOL NOT NULL DEFAULT 0,
    started_at         TIME NOT NULL,
    first_byte_at      TIME,
    ended_at           TIME,
    error              TEXT,
    PRIMARY KEY (org_id, attempt_id)
);
CREATE INDEX attempts_step ON provider_attempts (org_id, job_id, step);
CREATE INDEX attempts_time ON provider_attempts (org_id, started_at);

CREATE TABLE budget_accounts ( -- reserved before the call by one UPDATE with the limit in its WHERE, settled after it
    org_id             TEXT NOT NULL,
    scope              TEXT NOT NULL,          -- organisation, debate id, agent …
    period_start       TIME NOT NULL,
    limit_micro_usd    BIGINT,
    spent_micro_usd    BIGINT NOT NULL DEFAULT 0,
    reserved_micro_usd BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (org_id, scope, period_start)
);

CREATE TABLE receipts (        -- the bytes as signed
    org_id     TEXT NOT NULL,
    receipt_id TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    position   BIGINT NOT NULL,                -- in the chain
    verdict    TEXT NOT NULL,
    confidence DOUBLE,
    native     TEXT NOT NULL,                  -- canonical JSON, texts as digests
    odr        TEXT,                           -- canonical JSON; NULL once erased
    digest     TEXT NOT NULL,
    signature  TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    created_at TIME NOT NULL,
    PRIMARY KEY (org_id, receipt_id),
    UNIQUE (org_id, subject_id)
);
CREATE INDEX receipts_time ON receipts (org_id, created_at, receipt_id);

CREATE TABLE receipt_heads (   -- updated first, so that appends of one organisation queue
    org_id   TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    hash     TEXT NOT NULL
);

CREATE TABLE receipt_chain (   -- gapless per organisation; key rotations and erasures are entries too
    org_id    TEXT NOT NULL,
    position  BIGINT NOT NULL,
    kind      TEXT NOT NULL,                   -- receipt, key_rotation, erasure
    body      TEXT NOT NULL,                   -- canonical JSON
    prev_hash TEXT NOT NULL,
    hash      TEXT NOT NULL,
    PRIMARY KEY (org_id, position)
);

CREATE TABLE idempotency (     -- the answer is stored in the transaction of the change it reports
    org_id      TEXT NOT NULL,
    principal   TEXT NOT NULL,
    key         TEXT NOT NULL,
    request     TEXT NOT NULL,                 -- digest of method, path, body
    answer      BYTES,                         -- status, headers, body, encrypted; NULL while in flight
    owner_until TIME NOT NULL,                 -- past it, an unfinished key may be retaken
    expires_at  TIME NOT NULL,
    PRIMARY KEY (org_id, principal, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
