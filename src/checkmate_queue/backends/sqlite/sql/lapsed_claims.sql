-- The lapsed claims that an epoch holds, in the order of their claims. 1: epoch, 2: how many.
-- Returns group, its most stalls, and what makes a claim; the id is null where the job was removed by hand.
SELECT consumer_group.name, consumer_group.max_stalls,
       claimed.key, CAST(job.id AS TEXT), ifnull(CAST(job.data AS BLOB), x''), -claimed.rank,
       ifnull(CAST(job.enqueued_at AS INTEGER), 0), claimed.attempts, claimed.stalls,
       ifnull(CAST(job.metadata AS BLOB), x''), job.format
FROM claimed
CROSS JOIN consumer_group ON consumer_group.id = claimed.grp
LEFT JOIN job ON job.key = claimed.key
WHERE claimed.epoch = ?1 AND claimed.flags > 0 AND claimed.flags >= 2
ORDER BY claimed.number
LIMIT ?2;
