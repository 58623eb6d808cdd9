-- Nobody sleeps at a queue any more. 1: queue.
DELETE FROM sleeper
WHERE queue = ?1;
