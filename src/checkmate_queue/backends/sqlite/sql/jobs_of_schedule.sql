-- The living jobs of a schedule, by key. 1: queue, 2: schedule.
SELECT key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
FROM job
WHERE queue = ?1 AND schedule = ?2
ORDER BY key;
