-- Take a claim away. 1: group, 2: key.
DELETE FROM claimed
WHERE grp = ?1 AND key = ?2;
