-- Keep how a delivery of a schedule ended. 1: queue, 2: schedule, 3: outcome.
UPDATE schedule
SET last_outcome = ?3
WHERE queue = ?1 AND id = ?2;
