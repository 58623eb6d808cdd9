-- Ready deliveries of a group in starting order. 1: group, 2, 3: behind this rank and place, 4: how many.
SELECT rank, pos, key, mark, attempts, stalls, ready_at
FROM ready
WHERE grp = ?1 AND (rank, pos) > (?2, ?3)
ORDER BY rank, pos
LIMIT ?4;
