-- Remove a failed entry. 1: its number.
DELETE FROM failure
WHERE number = ?1;
