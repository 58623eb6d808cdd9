-- A setting. 1: key.
SELECT value, version
FROM setting
WHERE key = ?1;
