-- Remove a schedule. 1: queue, 2: id.
DELETE FROM schedule
WHERE queue = ?1 AND id = ?2;
