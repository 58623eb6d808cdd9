-- Write a setting of an expected version. 1: key, 2: value, 3: the version.
UPDATE setting
SET value = ?2, version = version + 1
WHERE key = ?1 AND version = ?3;
