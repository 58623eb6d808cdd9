-- Write a setting whose version is as expected. $1: key, $2: value, $3: that version.
UPDATE /* schema. */setting SET value = $2, version = version + 1 WHERE key = $1 AND version = $3
RETURNING version
