-- A living job to be looked at, a user's before a schedule's. 1: queue, 2: id.
SELECT key, CAST(id AS TEXT), ifnull(CAST(data AS BLOB), x''), state, priority, enqueued_at,
       ifnull(CAST(metadata AS BLOB), x''), due_at, expires_at, sweep_at
FROM job
WHERE queue = ?1 AND id = ?2
ORDER BY namespace
LIMIT 1;
