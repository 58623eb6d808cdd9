-- Jobs that wait for a retry in some group, by key. 1: queue, 2: above this key, 3: how many.
SELECT key, CAST(id AS TEXT), ifnull(CAST(data AS BLOB), x''), state, priority, enqueued_at,
       ifnull(CAST(metadata AS BLOB), x''), due_at, expires_at, sweep_at
FROM job
WHERE key IN (
  SELECT waiting.key
  FROM consumer_group
  CROSS JOIN waiting ON waiting.grp = consumer_group.id
  WHERE consumer_group.queue = ?1 AND waiting.key > ?2
)
ORDER BY key
LIMIT ?3;
