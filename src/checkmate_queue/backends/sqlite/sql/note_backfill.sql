-- How far a group has been filled. 1: group, 2: the last key it got, or NULL: it has got all.
UPDATE consumer_group
SET backfill_from = ?2
WHERE id = ?1;
