-- Refuse every writing verb on a queue. 1: queue, 2: successor.
UPDATE queue
SET successor = ?2
WHERE id = ?1;
