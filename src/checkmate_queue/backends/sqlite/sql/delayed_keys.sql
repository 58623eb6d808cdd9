-- Jobs that wait for their start delay, by key. 1: queue, 2: above this key, 3: how many.
SELECT key
FROM job INDEXED BY job_due
WHERE queue = ?1 AND due_at IS NOT NULL AND key > ?2
ORDER BY key
LIMIT ?3;
