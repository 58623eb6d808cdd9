-- The user's job of an id. 1: queue, 2: id.
SELECT key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
FROM job
WHERE queue = ?1 AND id = ?2 AND namespace = 0;
