-- The sleepers of a queue. 1: queue. Returns their addresses.
SELECT address
FROM sleeper
WHERE queue = ?1;
