-- The job of an id in a name space. 1: queue, 2: id, 3: name space.
SELECT key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
FROM job
WHERE queue = ?1 AND id = ?2 AND namespace = ?3;
