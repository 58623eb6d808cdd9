-- Whether a job is stored. 1: key.
SELECT 1
FROM job
WHERE key = ?1;
