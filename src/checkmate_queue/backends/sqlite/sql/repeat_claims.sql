-- The claims that an exchange made and that are still held. 1: group, 2: epoch, 3: exchange.
SELECT claimed.key, CAST(job.id AS TEXT), ifnull(CAST(job.data AS BLOB), x''), -claimed.rank,
       ifnull(CAST(job.enqueued_at AS INTEGER), 0), claimed.attempts, claimed.stalls,
       ifnull(CAST(job.metadata AS BLOB), x''), job.format
FROM claimed
CROSS JOIN job ON job.key = claimed.key
WHERE claimed.grp = ?1 AND claimed.epoch = ?2 AND claimed.exchange = ?3 AND claimed.flags < 2
ORDER BY claimed.number;
