-- The unclaimed jobs of a queue, in the order in which they became so. 1: queue.
SELECT key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
FROM job
WHERE queue = ?1 AND state = 1
ORDER BY pos;
