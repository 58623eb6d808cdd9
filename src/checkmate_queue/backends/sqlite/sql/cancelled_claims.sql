-- The claims of an epoch in a group that were cancelled. 1: epoch, 2: group.
SELECT key
FROM claimed INDEXED BY claimed_flagged
WHERE epoch = ?1 AND grp = ?2 AND flags > 0 AND flags = 1
ORDER BY key;
