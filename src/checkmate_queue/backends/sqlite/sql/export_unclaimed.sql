-- Unclaimed jobs in their order. 1: queue, 2: above this place, 3: how many.
SELECT pos, key, enqueued_at, expires_at, sweep_at
FROM job
WHERE queue = ?1 AND state = 1 AND pos > ?2
ORDER BY pos
LIMIT ?3;
