-- Rename a group. 1: group, 2: its new name.
UPDATE consumer_group
SET name = ?2
WHERE id = ?1;
