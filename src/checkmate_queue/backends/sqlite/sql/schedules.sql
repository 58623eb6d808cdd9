-- Schedules by id. 1: queue, 2: from above this id, 3: how many.
SELECT id, ifnull(CAST(data AS BLOB), x''), definition, timing, first_at, interval_seconds, cron_pattern, timezone, priority,
       misfire, overlap, unclaimed, revision, anchor, next_at, last_run_at, last_outcome
FROM schedule
WHERE queue = ?1 AND id > ?2
ORDER BY id
LIMIT ?3;
