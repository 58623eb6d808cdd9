-- Write what a verb changed of a queue. 1: queue, 2 to 10: new values, 11 to 14: what ended, to be added.
UPDATE queue
SET contact_at = ?2, attended_at = ?3, last_key = ?4, last_claim = ?5, last_revision = ?6,
    delayed = ?7, unclaimed = ?8, kept_failures = ?9, paused = ?10,
    completed = completed + ?11, failed = failed + ?12, expired = expired + ?13, cancelled = cancelled + ?14
WHERE id = ?1;
