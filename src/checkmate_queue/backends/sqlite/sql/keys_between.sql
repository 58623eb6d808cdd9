-- The keys of stored jobs in a range. 1: first, 2: last.
SELECT key
FROM job
WHERE key BETWEEN ?1 AND ?2;
