-- What is moved of a queue itself. 1: queue.
SELECT paused, last_key, last_claim, last_revision, completed, failed, expired, cancelled
FROM queue
WHERE id = ?1;
