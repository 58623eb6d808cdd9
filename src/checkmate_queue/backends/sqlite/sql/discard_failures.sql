-- Remove failed entries. 1: queue, 2: id or NULL for all, 3: group's name or NULL for all.
DELETE FROM failure
WHERE queue = ?1 AND (?2 IS NULL OR job_id = ?2) AND (?3 IS NULL OR group_name = ?3);
