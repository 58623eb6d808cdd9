-- Remove some rows of all queues. 1: how many.
DELETE FROM queue
WHERE rowid IN (SELECT rowid FROM queue LIMIT ?1);
