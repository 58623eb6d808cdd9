-- Store a schedule. 1: queue, 2: id, 3: data, 4: definition, 5: timing, 6: first at, 7: interval, 8: cron pattern,
-- 9: timezone, 10: priority, 11: misfire, 12: overlap, 13: unclaimed, 14: revision, 15: anchor, 16: next at,
-- 17: last run at, 18: last outcome.
INSERT OR REPLACE INTO schedule (
  queue, id, data, definition, timing, first_at, interval_seconds, cron_pattern, timezone, priority, misfire,
  overlap, unclaimed, revision, anchor, next_at, last_run_at, last_outcome
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18);
