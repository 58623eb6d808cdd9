-- The first ready deliveries of a group, in starting order. 1: group, 2: how many.
-- Returns what makes a claim (9), then rank, pos, ready since, and the job's schedule.
SELECT ready.key, CAST(job.id AS TEXT), ifnull(CAST(job.data AS BLOB), x''), -ready.rank,
       ifnull(CAST(job.enqueued_at AS INTEGER), 0), ready.attempts, ready.stalls,
       ifnull(CAST(job.metadata AS BLOB), x''), job.format,
       ready.rank, ready.pos, ready.ready_at, job.schedule
FROM ready
LEFT JOIN job ON job.key = ready.key
WHERE ready.grp = ?1
ORDER BY ready.rank, ready.pos
LIMIT ?2;
