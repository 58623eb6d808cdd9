-- Jobs that became ready before a group was registered, but for those that have expired. 1: queue, 2: group,
-- 3: the last key it got, 4: how many, 5: now.
SELECT job.key
FROM consumer_group
CROSS JOIN job ON job.key > ?3 AND job.key <= consumer_group.backfill_to
WHERE consumer_group.id = ?2 AND job.queue = ?1 AND job.state = 2 AND job.pos <= consumer_group.backfill_to
  AND (job.expires_at IS NULL OR job.expires_at > ?5)
ORDER BY job.key
LIMIT ?4;
