-- A job is fanned out. 1: key, 2: its holders, 3: its place.
UPDATE job
SET state = 2, holders = ?2, pos = ?3, due_at = NULL, sweep_at = expires_at
WHERE key = ?1;
