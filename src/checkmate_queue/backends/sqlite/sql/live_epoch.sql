-- Whether an epoch lives. 1: epoch, 2: queue, 3: now.
SELECT 1
FROM epoch
WHERE number = ?1 AND queue = ?2 AND expires_at > ?3;
