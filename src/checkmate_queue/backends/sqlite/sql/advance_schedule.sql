-- Move a schedule on, if it is as expected. 1: queue, 2: id, 3: revision, 4: next at as expected, 5: from now on.
UPDATE schedule
SET next_at = ?5
WHERE queue = ?1 AND id = ?2 AND revision = ?3 AND next_at IS ?4;
