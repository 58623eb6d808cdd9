-- The schedule of an id. 1: queue, 2: id.
SELECT id, ifnull(CAST(data AS BLOB), x''), definition, timing, first_at, interval_seconds, cron_pattern, timezone, priority,
       misfire, overlap, unclaimed, revision, anchor, next_at, last_run_at, last_outcome
FROM schedule
WHERE queue = ?1 AND id = ?2;
