-- suits: 7
-- Stored replies of providers go after their term: those that are there, by their age.
CREATE INDEX attempts_replies ON provider_attempts (ended_at) WHERE reply IS NOT NULL;
