-- Rename the group of failed entries. 1: queue, 2: old name, 3: new name.
UPDATE failure
SET group_name = ?3
WHERE queue = ?1 AND group_name = ?2;
