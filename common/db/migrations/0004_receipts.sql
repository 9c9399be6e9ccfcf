-- The second profile of the public receipt, and the salts of what a native one digests: random,
-- hexadecimal, erased with their text; '' where none was drawn.
ALTER TABLE receipts ADD COLUMN odr_v01 TEXT; -- as odr, in profile 0.1; NULL once erased
ALTER TABLE debates ADD COLUMN task_salt TEXT NOT NULL DEFAULT '';
ALTER TABLE debates ADD COLUMN answer_salt TEXT NOT NULL DEFAULT '';
ALTER TABLE debate_messages ADD COLUMN salt TEXT NOT NULL DEFAULT '';
ALTER TABLE debate_votes ADD COLUMN salt TEXT NOT NULL DEFAULT '';
