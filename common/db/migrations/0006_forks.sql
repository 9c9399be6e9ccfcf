-- Debates that come out of another one. A replay is answered from the stored replies of its source;
-- a fork begins with what its parent had stored before a step.
ALTER TABLE debates ADD COLUMN replay_of TEXT;
ALTER TABLE debates ADD COLUMN parent_debate_id TEXT;
ALTER TABLE debates ADD COLUMN branch_point BIGINT; -- messages that a fork took over
ALTER TABLE debates ADD COLUMN fork_step TEXT;      -- its first step; NULL: it took over all
ALTER TABLE debates ADD COLUMN premise TEXT;        -- what its agents are told besides; part of context too
CREATE INDEX debates_replays ON debates (org_id, replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX debates_forks ON debates (org_id, parent_debate_id) WHERE parent_debate_id IS NOT NULL;
