-- The part of a live epoch in a group. 1: epoch, 2: queue, 3: now, 4: group's name.
SELECT consumer_group.id, epoch.lease_ms, epoch.expires_at, member.exchanges, member.refused,
       EXISTS (
         SELECT 1
         FROM claimed INDEXED BY claimed_flagged
         WHERE epoch = ?1 AND grp = consumer_group.id AND flags > 0
       )
FROM epoch
CROSS JOIN consumer_group ON consumer_group.queue = epoch.queue AND consumer_group.name = ?4
CROSS JOIN member ON member.epoch = epoch.number AND member.grp = consumer_group.id
WHERE epoch.number = ?1 AND epoch.queue = ?2 AND epoch.expires_at > ?3;
