-- Living jobs to be looked at, by key. 1: JSON array of keys.
SELECT key, CAST(id AS TEXT), ifnull(CAST(data AS BLOB), x''), state, priority, enqueued_at,
       ifnull(CAST(metadata AS BLOB), x''), due_at, expires_at, sweep_at
FROM job
WHERE key IN (SELECT value FROM json_each(?1))
ORDER BY key;
