-- Make the jobs of a range of keys ready for a group, but the delayed ones. 1: group, 2: now, 3: first, 4: last.
INSERT INTO ready (grp, rank, pos, key, mark, attempts, stalls, ready_at)
SELECT ?1, -priority, pos, key, 0, 0, 0, ?2
FROM job
WHERE key BETWEEN ?3 AND ?4 AND state = 2;
