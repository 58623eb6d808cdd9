-- Remove some rows of all queues. 1: how many.
DELETE FROM claimed
WHERE (grp, key) IN (SELECT grp, key FROM claimed LIMIT ?1);
