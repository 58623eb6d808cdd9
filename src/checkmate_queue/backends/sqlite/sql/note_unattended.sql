-- Keep how long a group has been unattended. 1: group, 2: how long.
UPDATE consumer_group
SET unattended_ms = ?2
WHERE id = ?1;
