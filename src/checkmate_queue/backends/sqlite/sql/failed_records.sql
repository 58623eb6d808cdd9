-- Failed entries, the newest first. 1: queue, 2: group's name or NULL for all, 3: from below this number,
-- 4: how many.
SELECT number, job_id, group_name, ifnull(CAST(data AS BLOB), x''), error_type, message, traceback, attempts,
       failed_at
FROM failure
WHERE queue = ?1 AND (?2 IS NULL OR group_name = ?2) AND number < ?3
ORDER BY number DESC
LIMIT ?4;
