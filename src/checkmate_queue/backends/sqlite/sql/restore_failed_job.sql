-- Store the job of a failed entry again, to be made ready next. 1: its new key, 2: the entry.
INSERT INTO job (
  key, queue, namespace, state, holders, pos, priority, enqueued_at, drop_unclaimed, format,
  id, schedule, token, metadata, data
)
SELECT ?1, queue, namespace, 2, 1, ?1, priority, enqueued_at, drop_unclaimed, format,
       job_id, schedule, '', metadata, data
FROM failure
WHERE number = ?2;
