-- An epoch leaves a group. 1: epoch, 2: group.
DELETE FROM member
WHERE epoch = ?1 AND grp = ?2;
