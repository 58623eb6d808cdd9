-- The registered groups, by name. 1: queue.
SELECT id, name, ephemeral, max_stalls, registered_at
FROM consumer_group
WHERE queue = ?1 AND name IS NOT NULL
ORDER BY name;
