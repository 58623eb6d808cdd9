-- Take the sleepers of a queue out. 1: queue. Returns their addresses.
DELETE FROM sleeper
WHERE queue = ?1
RETURNING address;
