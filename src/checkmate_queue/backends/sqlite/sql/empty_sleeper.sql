-- Remove some rows of all queues. 1: how many.
DELETE FROM sleeper
WHERE (queue, address) IN (SELECT queue, address FROM sleeper LIMIT ?1);
