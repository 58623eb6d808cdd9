-- A delivery waits for a retry. 1: group, 2: key, 3: queue, 4: due at, 5: rank, 6: attempts, 7: stalls.
INSERT INTO waiting (grp, key, queue, due_at, rank, attempts, stalls)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7);
