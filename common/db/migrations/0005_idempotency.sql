-- The answer to a request that created something, stored in the transaction of what it tells of.
-- No row: nothing was done under the key. The table of the first step was never written; this one
-- knows no request in flight, and keeps the keys of two operations apart.
DROP TABLE idempotency;
CREATE TABLE idempotency (
    org_id     TEXT NOT NULL, -- '' of callers without an organisation
    principal  TEXT NOT NULL, -- user, or ip:ADDRESS of callers without one
    operation  TEXT NOT NULL, -- method and canonical path of the route
    key        TEXT NOT NULL, -- as sent, or made from the request of a client that sends none
    request    TEXT NOT NULL, -- SHA-256 of path, query and body
    answer     BYTES NOT NULL, -- status, headers, body; sealed
    expires_at TIME NOT NULL,
    PRIMARY KEY (org_id, principal, operation, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
