-- Remove failed entries that were kept long enough. 1: queue, 2: those that failed by then, 3: how many.
DELETE FROM failure
WHERE number IN (SELECT number FROM failure WHERE queue = ?1 ORDER BY number LIMIT ?3) AND failed_at <= ?2;
