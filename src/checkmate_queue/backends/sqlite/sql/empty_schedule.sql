-- Remove some rows of all queues. 1: how many.
DELETE FROM schedule
WHERE rowid IN (SELECT rowid FROM schedule LIMIT ?1);
