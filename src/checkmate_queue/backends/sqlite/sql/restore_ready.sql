-- A moved delivery is ready. 1: group, 2: place, 3: key, 4: mark, 5: attempts, 6: stalls, 7: since when.
INSERT INTO ready (grp, rank, pos, key, mark, attempts, stalls, ready_at)
SELECT ?1, -priority, ?2, key, ?4, ?5, ?6, ?7
FROM job
WHERE key = ?3;
