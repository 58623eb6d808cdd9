-- Make an old job ready for a group, at the place of its key. 1: group, 2: key, 3: mark, 4: now.
INSERT INTO ready (grp, rank, pos, key, mark, attempts, stalls, ready_at)
SELECT ?1, -priority, key, key, ?3, 0, 0, ?4
FROM job
WHERE key = ?2;
