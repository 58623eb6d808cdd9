-- Nothing of a job can expire any more. 1: key.
UPDATE job
SET sweep_at = NULL
WHERE key = ?1;
