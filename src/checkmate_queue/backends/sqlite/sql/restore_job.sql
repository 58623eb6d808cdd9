-- A job that is moved here. 1: key, 2: queue, 3: name space, 4: state, 5: priority, 6: enqueued at, 7: due at,
-- 8: expires at, 9: dropped where unclaimed, 10: record format, 11: id, 12: schedule, 13: token, 14: metadata,
-- 15: data.
INSERT INTO job (
  key, queue, namespace, state, holders, pos, priority, enqueued_at, due_at, expires_at, sweep_at,
  drop_unclaimed, format, id, schedule, token, metadata, data
)
VALUES (?1, ?2, ?3, ?4, 1, ?1, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15);
