-- The groups of a queue with what is moved of them. 1: queue.
SELECT name, ephemeral, max_stalls, registered_at, unattended_ms, warned_at, completed, failed, expired, cancelled
FROM consumer_group
WHERE queue = ?1 AND name IS NOT NULL
ORDER BY name;
