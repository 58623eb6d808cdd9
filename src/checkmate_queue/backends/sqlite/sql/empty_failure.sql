-- Remove some rows of all queues. 1: how many.
DELETE FROM failure
WHERE rowid IN (SELECT rowid FROM failure LIMIT ?1);
