-- Jobs of which something may have expired. 1: queue, 2: now, 3: how many at most.
SELECT key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
FROM job
WHERE queue = ?1 AND sweep_at <= ?2
ORDER BY sweep_at, key
LIMIT ?3;
