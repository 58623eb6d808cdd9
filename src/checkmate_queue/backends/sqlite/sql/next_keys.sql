-- The next stored jobs of a queue, with their states. 1: queue, 2: above this key, 3: how many.
SELECT key, state
FROM job
WHERE key > ?2 AND key < (?1 + 1) << 42
ORDER BY key
LIMIT ?3;
