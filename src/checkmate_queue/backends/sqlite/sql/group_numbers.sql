-- The numbers of a group. 1: group.
SELECT pending, retrying, processing, completed, failed, expired, cancelled
FROM consumer_group
WHERE id = ?1;
