-- A group was warned of. 1: group, 2: now.
UPDATE consumer_group
SET warned_at = ?2
WHERE id = ?1;
