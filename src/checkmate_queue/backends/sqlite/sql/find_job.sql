-- The job of an id, a user's before a schedule's. 1: queue, 2: id.
SELECT key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
FROM job
WHERE queue = ?1 AND id = ?2
ORDER BY namespace
LIMIT 1;
