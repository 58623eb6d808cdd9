-- Forget an epoch. 1: epoch.
DELETE FROM epoch
WHERE number = ?1;
