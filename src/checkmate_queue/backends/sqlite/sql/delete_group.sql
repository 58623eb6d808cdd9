-- Forget a group. 1: group.
DELETE FROM consumer_group
WHERE id = ?1;
