-- When something expires next, and when the lease of another epoch does. 1: queue, 2: epoch.
SELECT
  (SELECT sweep_at FROM job WHERE queue = ?1 AND sweep_at IS NOT NULL ORDER BY sweep_at LIMIT 1),
  (SELECT expires_at FROM epoch WHERE queue = ?1 AND number <> ?2 ORDER BY expires_at LIMIT 1);
