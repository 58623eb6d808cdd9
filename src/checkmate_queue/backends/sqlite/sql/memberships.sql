-- The groups of an epoch. 1: epoch.
SELECT grp
FROM member
WHERE epoch = ?1;
