-- The groups that have a live member. 1: queue, 2: now.
SELECT DISTINCT member.grp
FROM epoch CROSS JOIN member ON member.epoch = epoch.number
WHERE epoch.queue = ?1 AND epoch.expires_at > ?2;
