-- The numbers of a queue's groups, by name. 1: queue.
SELECT id, name, pending, retrying, processing, completed, failed, expired, cancelled
FROM consumer_group
WHERE queue = ?1 AND name IS NOT NULL
ORDER BY name;
