-- A group is no longer registered; its row stays while something is left to be cleared away. 1: group.
UPDATE consumer_group
SET name = NULL, backfill_from = NULL, pending = 0, retrying = 0, processing = 0,
    completed = 0, failed = 0, expired = 0, cancelled = 0
WHERE id = ?1;
