-- Hand the claims of a dead epoch on as lapsed ones, each with a stall unless it was one already.
-- 1: dead epoch, 2: its heir.
UPDATE claimed
SET epoch = ?2, stalls = stalls + (flags < 2), flags = 2
WHERE (grp, key) IN (
  SELECT mine.grp, mine.key
  FROM member
  CROSS JOIN claimed AS mine ON mine.grp = member.grp AND mine.epoch = ?1
  WHERE member.epoch = ?1
  UNION
  SELECT grp, key
  FROM claimed
  WHERE epoch = ?1 AND flags > 0
);
