-- Ready deliveries of a dropped group. 1: group, 2: how many. Returns rank, pos, key and the job's schedule.
SELECT ready.rank, ready.pos, ready.key, job.schedule
FROM ready
LEFT JOIN job ON job.key = ready.key
WHERE ready.grp = ?1
ORDER BY ready.rank, ready.pos
LIMIT ?2;
