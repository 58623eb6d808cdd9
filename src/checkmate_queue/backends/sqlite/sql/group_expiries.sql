-- When the last lease of each group's members runs out, or ran out. 1: queue.
SELECT member.grp, max(epoch.expires_at)
FROM epoch
CROSS JOIN member ON member.epoch = epoch.number
WHERE epoch.queue = ?1
GROUP BY member.grp;
