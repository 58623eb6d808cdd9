-- A moved delivery waits for a retry. 1: group, 2: key, 3: due at, 4: attempts, 5: stalls.
INSERT INTO waiting (grp, key, queue, due_at, rank, attempts, stalls)
SELECT ?1, key, queue, ?3, -priority, ?4, ?5
FROM job
WHERE key = ?2;
