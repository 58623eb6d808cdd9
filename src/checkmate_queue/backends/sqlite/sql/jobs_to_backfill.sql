-- Jobs that became ready before a group was registered, but for those that have expired. 1: above this key,
-- 2: the last key that was drawn before, 3: now, 4: how many.
SELECT key
FROM job
WHERE key > ?1 AND key <= ?2 AND state = 2 AND pos <= ?2 AND (expires_at IS NULL OR expires_at > ?3)
ORDER BY key
LIMIT ?4;
