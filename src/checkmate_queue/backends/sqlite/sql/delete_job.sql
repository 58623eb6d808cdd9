-- End a job. 1: key.
DELETE FROM job
WHERE key = ?1;
