-- Remove some rows of all queues. 1: how many.
DELETE FROM job
WHERE rowid IN (SELECT rowid FROM job LIMIT ?1);
