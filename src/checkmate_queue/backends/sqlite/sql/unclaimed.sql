-- Unclaimed jobs of a queue, in the order in which they became so. 1: queue, 2: how many, or -1: all.
-- Returns the place, and what decides how a job goes on.
SELECT pos, key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
FROM job
WHERE queue = ?1 AND state = 1
ORDER BY pos
LIMIT ?2;
