-- Since when the delivery that has been ready longest in a group is ready: the heads of each priority tell,
-- as those that wait in their own order have the oldest first. 1: group. Returns one row, with NULL for none.
WITH RECURSIVE level (rank) AS (
  SELECT (SELECT rank FROM ready WHERE grp = ?1 ORDER BY rank LIMIT 1)
  UNION ALL
  SELECT (SELECT rank FROM ready WHERE grp = ?1 AND rank > level.rank ORDER BY rank LIMIT 1)
  FROM level
  WHERE level.rank IS NOT NULL
)
SELECT min(
  ifnull((SELECT min(ready_at) FROM ready WHERE grp = ?1 AND rank = level.rank AND pos < 0), 1 << 62),
  ifnull(
    (SELECT ready_at FROM ready WHERE grp = ?1 AND rank = level.rank AND pos >= 0 ORDER BY pos LIMIT 1), 1 << 62
  )
) AS since
FROM level
WHERE level.rank IS NOT NULL
ORDER BY since
LIMIT 1;
