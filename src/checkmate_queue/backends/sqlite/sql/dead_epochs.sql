-- Epochs whose lease has run out. 1: queue, 2: now.
SELECT number
FROM epoch
WHERE queue = ?1 AND expires_at <= ?2
ORDER BY number;
