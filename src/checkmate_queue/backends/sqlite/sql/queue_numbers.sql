-- The numbers that belong to a queue alone. 1: name. Returns one row or none.
SELECT id, paused, contact_at, delayed, unclaimed, completed, failed, expired, cancelled
FROM queue
WHERE name = ?1;
