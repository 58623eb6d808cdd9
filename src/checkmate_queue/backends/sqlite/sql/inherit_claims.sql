-- Hand the claims that a dead epoch had in a group on as lapsed ones, each with a stall. 1: group, 2: dead epoch,
-- 3: its heir.
UPDATE claimed
SET epoch = ?3, stalls = stalls + 1, flags = 2
WHERE grp = ?1 AND epoch = ?2 AND flags = 0;
