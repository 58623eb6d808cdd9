-- A moved job is unclaimed. 1: key, 2: its place, 3: until when.
UPDATE job
SET state = 1, pos = ?2, sweep_at = min(ifnull(expires_at, ?3), ?3)
WHERE key = ?1;
