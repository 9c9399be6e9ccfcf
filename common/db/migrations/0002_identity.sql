-- Who there is: organisations, users, memberships, API keys, sessions. Sign-in itself comes
-- later; the rows are here so that every principal has one.
CREATE TABLE organizations (
    org_id     TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    slug       TEXT NOT NULL UNIQUE,
    tier       TEXT NOT NULL DEFAULT 'free',
    owner_id   TEXT,
    settings   JSON NOT NULL DEFAULT '{}',
    status     TEXT NOT NULL DEFAULT 'active',
    created_at TIME NOT NULL,
    updated_at TIME NOT NULL,
    deleted_at TIME
);

CREATE TABLE users (              -- one person over all organisations
    user_id        TEXT PRIMARY KEY,
    email          TEXT NOT NULL UNIQUE, -- lower case
    password_hash  TEXT,                 -- NULL: cannot sign in with a password
    name           TEXT NOT NULL DEFAULT '',
    is_active      BOOL NOT NULL DEFAULT 1,
    email_verified BOOL NOT NULL DEFAULT 0,
    token_version  BIGINT NOT NULL DEFAULT 1, -- raised: every token of the user ends
    is_service     BOOL NOT NULL DEFAULT 0,
    preferences    JSON NOT NULL DEFAULT '{}',
    last_login_at  TIME,
    created_at     TIME NOT NULL,
    updated_at     TIME NOT NULL,
    deleted_at     TIME
);

CREATE TABLE organization_memberships (
    org_id     TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    role       TEXT NOT NULL DEFAULT 'member',
    status     TEXT NOT NULL DEFAULT 'active',
    is_primary BOOL NOT NULL DEFAULT 0,
    joined_at  TIME NOT NULL,
    PRIMARY KEY (org_id, user_id),
    FOREIGN KEY (org_id) REFERENCES organizations (org_id),
    FOREIGN KEY (user_id) REFERENCES users (user_id)
);
CREATE INDEX memberships_user ON organization_memberships (user_id);

CREATE TABLE api_keys (
    org_id       TEXT NOT NULL,
    key_id       TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    name         TEXT NOT NULL,
    key_prefix   TEXT NOT NULL,        -- first 12 characters, for people
    key_hash     TEXT NOT NULL UNIQUE, -- SHA-256 of the whole key; the key itself is shown once
    scopes       JSON NOT NULL DEFAULT '[]',
    ip_allowlist JSON NOT NULL DEFAULT '[]',
    created_at   TIME NOT NULL,
    expires_at   TIME,
    last_used_at TIME,
    revoked_at   TIME,
    PRIMARY KEY (org_id, key_id),
    FOREIGN KEY (org_id, user_id) REFERENCES organization_memberships (org_id, user_id)
);

CREATE TABLE user_sessions (
    session_id       TEXT PRIMARY KEY,
    user_id          TEXT NOT NULL,
    org_id           TEXT NOT NULL,
    auth_method      TEXT NOT NULL DEFAULT 'password',
    mfa_verified     BOOL NOT NULL DEFAULT 0,
    ip_address       TEXT,
    user_agent       TEXT,
    created_at       TIME NOT NULL,
    last_activity_at TIME NOT NULL,
    expires_at       TIME NOT NULL,
    revoked_at       TIME,
    FOREIGN KEY (org_id, user_id) REFERENCES organization_memberships (org_id, user_id)
);
CREATE INDEX sessions_user ON user_sessions (user_id);
CREATE INDEX sessions_expiry ON user_sessions (expires_at);
