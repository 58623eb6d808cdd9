-- A group has a member. 1: group.
UPDATE consumer_group
SET unattended_ms = 0, warned_at = NULL
WHERE id = ?1 AND (unattended_ms > 0 OR warned_at IS NOT NULL);
