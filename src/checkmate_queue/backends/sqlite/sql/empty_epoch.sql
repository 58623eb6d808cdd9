-- Remove some rows of all queues. 1: how many.
DELETE FROM epoch
WHERE rowid IN (SELECT rowid FROM epoch LIMIT ?1);
