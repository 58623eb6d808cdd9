-- Lift the fences of queues that say this. 1: successor.
UPDATE queue
SET successor = NULL
WHERE successor = ?1;
