-- What is due, in the order of becoming ready: delayed jobs (no group) and retries. 1: queue, 2: now,
-- 3: how many at most. Returns group, rank, attempts, stalls, and what decides how a job goes on.
SELECT grp, rank, attempts, stalls, key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
FROM (
  SELECT *
  FROM (
    SELECT due_at, NULL AS grp, NULL AS rank, NULL AS attempts, NULL AS stalls,
           key, state, priority, expires_at, schedule, drop_unclaimed, token, sweep_at
    FROM job
    WHERE queue = ?1 AND due_at <= ?2
    ORDER BY due_at, key
    LIMIT ?3
  )
  UNION ALL
  SELECT *
  FROM (
    SELECT due_at, grp, rank, attempts, stalls, key, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM waiting
    WHERE queue = ?1 AND due_at <= ?2
    ORDER BY due_at, key
    LIMIT ?3
  )
)
ORDER BY due_at, key
LIMIT ?3;
