-- Keep a failed entry of a job. 1: key, 2: group's name, 3: now, 4: attempts, 5: error's type, 6: message,
-- 7: traceback.
INSERT INTO failure (
  queue, key, job_id, namespace, schedule, group_name, priority, enqueued_at, drop_unclaimed, format,
  failed_at, attempts, error_type, message, traceback, metadata, data
)
SELECT queue, key, id, namespace, schedule, ?2, priority, enqueued_at, drop_unclaimed, format,
       ?3, ?4, ?5, ?6, ?7, metadata, data
FROM job
WHERE key = ?1;
