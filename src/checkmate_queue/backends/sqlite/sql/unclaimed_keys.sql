-- Unclaimed jobs, by key. 1: queue, 2: above this key, 3: how many.
SELECT key
FROM job INDEXED BY job_unclaimed
WHERE queue = ?1 AND state = 1 AND key > ?2
ORDER BY key
LIMIT ?3;
