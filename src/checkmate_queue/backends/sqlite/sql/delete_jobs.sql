-- End jobs. 1: JSON array of keys.
DELETE FROM job
WHERE key IN (SELECT value FROM json_each(?1));
