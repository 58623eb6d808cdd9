-- A moved delivery is held by a worker. 1: group, 2: key, 3: queue, 4: worker, 5: exchange, 6: the claim's number,
-- 7: attempts, 8: stalls, 9: ready since, 10: flags.
INSERT INTO claimed (grp, key, epoch, exchange, number, rank, attempts, stalls, ready_at, flags, schedule)
SELECT ?1, job.key, epoch.number, ?5, ?6, -job.priority, ?7, ?8, ?9, ?10, job.schedule
FROM job
CROSS JOIN epoch ON epoch.queue = ?3 AND epoch.worker = ?4
WHERE job.key = ?2;
