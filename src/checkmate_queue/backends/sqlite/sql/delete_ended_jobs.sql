-- End those of these jobs that have no open delivery left. 1: JSON array of keys.
DELETE FROM job
WHERE key IN (SELECT value FROM json_each(?1)) AND holders <= 1;
