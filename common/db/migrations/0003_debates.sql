-- A debate and what is said in it. Status and visibility stand in loops, not again here.
CREATE TABLE debates (
    org_id             TEXT NOT NULL,
    debate_id          TEXT NOT NULL,
    slug               TEXT NOT NULL,
    task               TEXT NOT NULL,
    context            TEXT,
    agents             JSON NOT NULL,  -- names, in order
    request            JSON NOT NULL,  -- the create request as accepted
    consensus_mode     TEXT NOT NULL,
    rounds_requested   BIGINT NOT NULL,
    rounds_used        BIGINT NOT NULL DEFAULT 0,
    consensus_reached  BOOL,           -- NULL until decided
    confidence         DOUBLE,
    consensus_strength TEXT,
    winner             TEXT,
    final_answer       TEXT,
    result             JSON,           -- the result object, once ended
    error              TEXT,
    receipt_id         TEXT,
    source             TEXT,
    is_demo            BOOL NOT NULL DEFAULT 0,
    total_cost_micro_usd BIGINT NOT NULL DEFAULT 0,
    total_tokens       BIGINT NOT NULL DEFAULT 0,
    created_at         TIME NOT NULL,
    started_at         TIME,
    completed_at       TIME,
    updated_at         TIME NOT NULL,
    deleted_at         TIME,
    PRIMARY KEY (org_id, debate_id),
    FOREIGN KEY (org_id, debate_id) REFERENCES loops (org_id, loop_id) ON DELETE CASCADE
);
CREATE INDEX debates_time ON debates (org_id, created_at, debate_id);
CREATE INDEX debates_slug ON debates (org_id, slug);

CREATE TABLE debate_agents (
    org_id    TEXT NOT NULL,
    debate_id TEXT NOT NULL,
    agent     TEXT NOT NULL,
    position  BIGINT NOT NULL,
    provider  TEXT NOT NULL,
    model     TEXT,
    persona   TEXT,
    role      TEXT NOT NULL,
    failures  JSON NOT NULL DEFAULT '[]',
    PRIMARY KEY (org_id, debate_id, agent),
    FOREIGN KEY (org_id, debate_id) REFERENCES debates (org_id, debate_id) ON DELETE CASCADE
);

-- Natural keys: the step that writes a row may run twice.
CREATE TABLE debate_messages (
    org_id     TEXT NOT NULL,
    debate_id  TEXT NOT NULL,
    round      BIGINT NOT NULL, -- 0 is the proposals
    role       TEXT NOT NULL,
    agent      TEXT NOT NULL,
    target     TEXT NOT NULL DEFAULT '', -- of a critique
    content    TEXT NOT NULL,
    is_partial BOOL NOT NULL DEFAULT 0,  -- a cancelled or cut step's text
    created_at TIME NOT NULL,
    PRIMARY KEY (org_id, debate_id, round, role, agent, target),
    FOREIGN KEY (org_id, debate_id) REFERENCES debates (org_id, debate_id) ON DELETE CASCADE
);

CREATE TABLE debate_critiques (
    org_id       TEXT NOT NULL,
    debate_id    TEXT NOT NULL,
    round        BIGINT NOT NULL,
    agent        TEXT NOT NULL,
    target_agent TEXT NOT NULL,
    issues       JSON NOT NULL,
    suggestions  JSON NOT NULL,
    severity     DOUBLE NOT NULL CHECK (severity BETWEEN 0 AND 10),
    reasoning    TEXT,
    error        TEXT,
    created_at   TIME NOT NULL,
    PRIMARY KEY (org_id, debate_id, round, agent, target_agent),
    FOREIGN KEY (org_id, debate_id) REFERENCES debates (org_id, debate_id) ON DELETE CASCADE
);

CREATE TABLE debate_votes (
    org_id          TEXT NOT NULL,
    debate_id       TEXT NOT NULL,
    round           BIGINT NOT NULL,
    agent           TEXT NOT NULL,
    choice          TEXT, -- NULL: an abstention
    confidence      DOUBLE NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    weight          DOUBLE NOT NULL DEFAULT 1,
    reasoning       TEXT,
    created_at      TIME NOT NULL,
    PRIMARY KEY (org_id, debate_id, round, agent),
    FOREIGN KEY (org_id, debate_id) REFERENCES debates (org_id, debate_id) ON DELETE CASCADE
);
