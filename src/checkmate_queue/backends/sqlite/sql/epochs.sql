-- All epochs of a queue, by number. 1: queue.
SELECT number, worker, lease_ms, expires_at, CAST(report AS BLOB)
FROM epoch
WHERE queue = ?1
ORDER BY number;
