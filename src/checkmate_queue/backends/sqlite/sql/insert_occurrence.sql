-- Store a schedule's job, to be made ready next, unless one lives under its id. 1: key, 2: queue, 3: priority,
-- 4: enqueued at, 5: dropped where unclaimed, 6: record format, 7: id, 8: schedule, 9: metadata, 10: data.
INSERT INTO job (
  key, queue, namespace, state, holders, pos, priority, enqueued_at, drop_unclaimed, format,
  id, schedule, token, metadata, data
)
VALUES (?1, ?2, 1, 2, 1, ?1, ?3, ?4, ?5, ?6, ?7, ?8, '', ?9, ?10)
ON CONFLICT (queue, id, namespace) DO NOTHING;
