-- The schedules of these ids. 1: queue, 2: JSON array of ids.
SELECT id, ifnull(CAST(data AS BLOB), x''), definition, timing, first_at, interval_seconds, cron_pattern, timezone, priority,
       misfire, overlap, unclaimed, revision, anchor, next_at, last_run_at, last_outcome
FROM schedule
WHERE queue = ?1 AND id IN (SELECT value FROM json_each(?2))
ORDER BY id;
