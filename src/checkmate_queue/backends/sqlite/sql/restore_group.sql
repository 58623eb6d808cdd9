-- A group that is moved here. 1: queue, 2: name, 3: ephemeral, 4: most stalls, 5: registered at, 6: unattended,
-- 7: warned at, 8 to 11: what ended.
INSERT INTO consumer_group (
  queue, name, ephemeral, max_stalls, registered_at, unattended_ms, warned_at, completed, failed, expired, cancelled
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);
