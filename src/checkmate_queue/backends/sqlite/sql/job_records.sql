-- Living jobs to be looked at, by key. 1: first key, 2: last key, 3: how many.
SELECT key, CAST(id AS TEXT), ifnull(CAST(data AS BLOB), x''), state, priority, enqueued_at,
       ifnull(CAST(metadata AS BLOB), x''), due_at, expires_at, sweep_at, schedule
FROM job
WHERE key BETWEEN ?1 AND ?2
ORDER BY key
LIMIT ?3;
