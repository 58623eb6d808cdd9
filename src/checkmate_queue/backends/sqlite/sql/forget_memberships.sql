-- An epoch is in no group any more. 1: epoch.
DELETE FROM member
WHERE epoch = ?1;
