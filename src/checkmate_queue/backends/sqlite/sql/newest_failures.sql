-- The failed entries of the newest job that failed under an id. 1: queue, 2: id.
SELECT number, group_name, key, namespace, schedule, priority, drop_unclaimed
FROM failure
WHERE queue = ?1 AND job_id = ?2 AND key = (
  SELECT key
  FROM failure
  WHERE queue = ?1 AND job_id = ?2
  ORDER BY number DESC
  LIMIT 1
)
ORDER BY number;
