-- When the first delayed job, retry and schedule are due, and something expires. 1: queue. Returns one row.
SELECT
  (SELECT due_at FROM job WHERE queue = ?1 AND due_at IS NOT NULL ORDER BY due_at LIMIT 1),
  (SELECT due_at FROM waiting WHERE queue = ?1 ORDER BY due_at LIMIT 1),
  (SELECT next_at FROM schedule WHERE queue = ?1 AND next_at IS NOT NULL ORDER BY next_at LIMIT 1),
  (SELECT sweep_at FROM job WHERE queue = ?1 AND sweep_at IS NOT NULL ORDER BY sweep_at LIMIT 1);
