-- Add to the numbers of a group. 1: group, 2 to 8: what to add.
UPDATE consumer_group
SET pending = pending + ?2, retrying = retrying + ?3, processing = processing + ?4,
    completed = completed + ?5, failed = failed + ?6, expired = expired + ?7, cancelled = cancelled + ?8
WHERE id = ?1;
