-- The schedules of jobs. 1: JSON array of keys.
SELECT DISTINCT schedule
FROM job
WHERE key IN (SELECT value FROM json_each(?1)) AND schedule IS NOT NULL;
