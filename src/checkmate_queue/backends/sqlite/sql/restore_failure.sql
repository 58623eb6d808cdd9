-- A failed entry that is moved here. 1: queue, 2: key, 3: job's id, 4: name space, 5: schedule, 6: group's name,
-- 7: priority, 8: enqueued at, 9: dropped where unclaimed, 10: record format, 11: failed at, 12: attempts,
-- 13: error's type, 14: message, 15: traceback, 16: metadata, 17: data.
INSERT INTO failure (
  queue, key, job_id, namespace, schedule, group_name, priority, enqueued_at, drop_unclaimed, format,
  failed_at, attempts, error_type, message, traceback, metadata, data
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17);
