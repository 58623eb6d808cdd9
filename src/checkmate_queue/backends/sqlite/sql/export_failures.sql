-- Failed entries, the oldest first, with what is moved of them. 1: queue, 2: above this number, 3: how many.
SELECT number, key, job_id, schedule, group_name, ifnull(CAST(data AS BLOB), x''),
       ifnull(CAST(metadata AS BLOB), x''), priority, enqueued_at, drop_unclaimed, error_type, message, traceback,
       attempts, failed_at, format
FROM failure
WHERE queue = ?1 AND number > ?2
ORDER BY number
LIMIT ?3;
