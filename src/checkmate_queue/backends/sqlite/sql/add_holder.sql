-- Another group gets a job. 1: key.
UPDATE job
SET holders = holders + 1
WHERE key = ?1;
