-- Signal a claim. 1: group, 2: key.
UPDATE claimed
SET flags = flags | 1
WHERE grp = ?1 AND key = ?2;
