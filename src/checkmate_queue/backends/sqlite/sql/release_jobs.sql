-- Take one open delivery off each of these jobs. 1: JSON array of keys.
UPDATE job
SET holders = holders - 1
WHERE key IN (SELECT value FROM json_each(?1));
