-- Remove some rows of all queues. 1: how many.
DELETE FROM waiting
WHERE (grp, key) IN (SELECT grp, key FROM waiting LIMIT ?1);
