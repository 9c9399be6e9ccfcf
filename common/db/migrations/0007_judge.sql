-- How a debate chooses its judge, and the number that a choice by chance is made with: drawn once, so
-- that a debate which lost its runner asks the same judge.
ALTER TABLE debates ADD COLUMN judge_selection TEXT; -- NULL: nobody judges
ALTER TABLE debates ADD COLUMN judge_seed BIGINT;
