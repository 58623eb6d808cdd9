-- When the first delayed job, retry or schedule is due. 1: queue. Returns one row, with NULL for never.
SELECT min(at)
FROM (
  SELECT (SELECT due_at FROM job WHERE queue = ?1 AND due_at IS NOT NULL ORDER BY due_at LIMIT 1) AS at
  UNION ALL
  SELECT (SELECT due_at FROM waiting WHERE queue = ?1 ORDER BY due_at LIMIT 1)
  UNION ALL
  SELECT (SELECT next_at FROM schedule WHERE queue = ?1 AND next_at IS NOT NULL ORDER BY next_at LIMIT 1)
);
