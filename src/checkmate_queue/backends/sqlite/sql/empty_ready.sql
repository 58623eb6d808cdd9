-- Remove some rows of all queues. 1: how many.
DELETE FROM ready
WHERE (grp, rank, pos) IN (SELECT grp, rank, pos FROM ready LIMIT ?1);
