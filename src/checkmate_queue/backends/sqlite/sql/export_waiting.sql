-- Deliveries that wait for a retry, by due time. 1: queue, 2, 3, 4: behind this time, key and group, 5: how many.
SELECT waiting.due_at, waiting.key, waiting.grp, consumer_group.name, waiting.attempts, waiting.stalls
FROM waiting
CROSS JOIN consumer_group ON consumer_group.id = waiting.grp
WHERE waiting.queue = ?1 AND (waiting.due_at, waiting.key, waiting.grp) > (?2, ?3, ?4)
ORDER BY waiting.due_at, waiting.key, waiting.grp
LIMIT ?5;
