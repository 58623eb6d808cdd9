-- Remove some rows of all queues. 1: how many.
DELETE FROM member
WHERE (epoch, grp) IN (SELECT epoch, grp FROM member LIMIT ?1);
