-- Remove the oldest failed entries. 1: queue, 2: how many.
DELETE FROM failure
WHERE number IN (SELECT number FROM failure WHERE queue = ?1 ORDER BY number LIMIT ?2);
