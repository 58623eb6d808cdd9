-- The groups of a queue. 1: queue.
SELECT id, name, ephemeral, max_stalls, pending, unattended_ms, warned_at, backfill_from, backfill_to
FROM consumer_group
WHERE queue = ?1
ORDER BY name;
