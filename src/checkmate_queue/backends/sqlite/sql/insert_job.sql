-- Store a user's job unless one lives under its id. 1: key, 2: queue, 3: state, 4: holders, 5: priority,
-- 6: enqueued at, 7: due at, 8: expires at, 9: to be swept at, 10: dropped where unclaimed, 11: record format,
-- 12: id, 13: token, 14: metadata, 15: data.
INSERT INTO job (
  key, queue, namespace, state, holders, pos, priority, enqueued_at, due_at, expires_at, sweep_at,
  drop_unclaimed, format, id, token, metadata, data
)
VALUES (?1, ?2, 0, ?3, ?4, ?1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT (queue, id, namespace) DO NOTHING;
