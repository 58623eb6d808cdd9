-- Keep when a schedule ran last. 1: queue, 2: id, 3: due time.
UPDATE schedule
SET last_run_at = ?3
WHERE queue = ?1 AND id = ?2;
