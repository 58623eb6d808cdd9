-- Remove some rows of all queues. 1: how many.
DELETE FROM consumer_group
WHERE rowid IN (SELECT rowid FROM consumer_group LIMIT ?1);
