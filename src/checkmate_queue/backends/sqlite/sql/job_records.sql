-- Living jobs to be looked at, by key. 1: queue, 2: above this key, 3: how many.
SELECT key, CAST(id AS TEXT), ifnull(CAST(data AS BLOB), x''), state, priority, enqueued_at,
       ifnull(CAST(metadata AS BLOB), x''), due_at, expires_at, sweep_at
FROM job
WHERE key > ?2 AND key < (?1 + 1) << 42
ORDER BY key
LIMIT ?3;
