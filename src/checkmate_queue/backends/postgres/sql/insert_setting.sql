-- Write a setting that does not exist. $1: key, $2: value.
INSERT INTO /* schema. */setting (key, value, version) VALUES ($1, $2, 1)
ON CONFLICT (key) DO NOTHING RETURNING version
